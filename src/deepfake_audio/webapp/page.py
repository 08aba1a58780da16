"""The page: a script that Streamlit runs from the top for each visitor, and again at each change."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, TypeVar

import streamlit as st

from deepfake_audio.analysis import NotAnalysed
from deepfake_audio.detector import Skipped
from deepfake_audio.modelfile import SHIPPED
from deepfake_audio.webapp import pictures, results, words
from deepfake_audio.webapp.results import Upload
from deepfake_audio.webapp.server import MAX_UPLOAD_MEGABYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepfake_audio.detector import Detection, Detector

T = TypeVar("T")

# So many recordings at once; the command line takes any number.
MOST_UPLOADS = 20
# On a narrower screen pictures are as wide as that.
PICTURE_PIXELS = 600
# Streamlit says only to screen readers, and where a mouse rests, why it refuses a file.
STYLE = """
<style>
[data-testid="stFileUploader"] [aria-invalid] { max-width: 100%; }
[data-testid="stFileUploader"] [aria-invalid] [role="alert"] {
  position: static; width: auto; height: auto; margin: 0 0.5rem; clip: auto; clip-path: none; overflow: visible;
  white-space: normal;
}
</style>
"""


# Visitors share models, which nothing changes; they share nothing else.
load: Callable[..., Detector] = st.cache_resource(show_spinner=False)(results.shipped)


def once(upload: Upload, what: tuple[Any, ...], make: Callable[[], T]) -> T:
    """Return what was made of a content before in this session, or make it."""
    kept = st.session_state.setdefault("kept", {})
    key = (upload.sha256, *what)
    if key not in kept:
        kept[key] = make()
    found: T = kept[key]
    return found


def is_kept(upload: Upload, what: tuple[Any, ...]) -> bool:
    """Return whether that was made before."""
    return (upload.sha256, *what) in st.session_state.get("kept", {})


def forget_others(uploads: list[Upload]) -> None:
    """Drop what was made of contents that are no longer there."""
    here = {upload.sha256 for upload in uploads}
    kept = st.session_state.get("kept", {})
    st.session_state["kept"] = {key: value for key, value in kept.items() if key[0] in here}


# --- what to look at, and how to decide ------------------------------------------------------------------------


def choose_recordings() -> list[Upload]:
    """Show the ways in; return what came through them."""
    from_files, from_microphone, from_us = st.tabs(["Upload", "Microphone", "Example"])
    # Any file may come: what is no recording gets a better answer than one about its suffix.
    files = from_files.file_uploader(
        f"Wav, flac, mp3, ogg, opus or aiff, up to {MAX_UPLOAD_MEGABYTES} MB and {results.MAX_HOURS:g} hours each",
        accept_multiple_files=True,
        help="m4a, webm, mp4 and other containers need the extra `media` where this page runs: "
        "`pip install 'deepfake-audio[media]'`",
    )
    spoken = from_microphone.audio_input(
        "Speak for some seconds", help="Browsers allow it on this computer, and elsewhere only over https."
    )
    with_example = from_us.toggle("Judge the example", key="example")
    from_us.caption(words.EXAMPLE)
    if len(files) > MOST_UPLOADS:
        st.warning(
            f"These are {len(files)} recordings; the first {MOST_UPLOADS} are looked at. "
            "For more, use `deepfake-audio predict`, which takes whole folders."
        )
    uploads = [Upload(file.name, file.getvalue()) for file in files[:MOST_UPLOADS]]
    if spoken is not None:
        uploads.append(Upload("microphone.wav", spoken.getvalue()))
    return [*uploads, results.example()] if with_example else uploads


def choose_decision() -> tuple[Detector, float]:
    """Show model and threshold; return the model, and the log-likelihood ratio to decide at."""
    with st.expander("Model and threshold", icon=":material/tune:"):
        model = st.selectbox("Model", SHIPPED, format_func=lambda name: words.MODELS.get(name, name))
        detector = load(model)
        stored = results.thresholds(detector)
        point = st.selectbox("Threshold", [*stored, "probability"], format_func=lambda name: words.POINTS[name])
        if point == "probability":
            threshold = results.threshold_at(st.slider("Called a deepfake above, in percent", 1, 99, 50))
        else:
            threshold = stored[point]
        st.caption(f"{words.POINTS_MEAN[point]} {words.decision(threshold, detector.metadata.margin)}")
    return detector, threshold


# --- one recording ---------------------------------------------------------------------------------------------


def show_verdict(upload: Upload, result: Detection | Skipped) -> None:
    """Show name, player and verdict. The name is shown as plain text, whatever it is."""
    st.text(upload.shown_name)
    if isinstance(result, Skipped):
        st.error(f"**This file cannot be judged.** {results.message_of(result)}", icon=":material/error:")
        return
    show_player(upload, result)
    st.subheader(words.headline(result), anchor=False)
    if result.p_deepfake is not None:
        st.progress(result.p_deepfake, text=words.probability(result))
    st.markdown(words.meaning(result))
    st.caption(words.facts(result))


def show_player(upload: Upload, detection: Detection) -> None:
    """Show a player: of the file itself where a browser can play it, else of what was decoded."""
    content, media_type = results.playable(upload)
    if content is not None:
        st.audio(content, format=media_type)
    elif pictures.is_drawn(detection):
        signal = once(upload, ("signal",), lambda: results.signal_of(upload))
        st.audio(signal, sample_rate=results.PICTURE_RATE)


def show_details(upload: Upload, detection: Detection, detector: Detector, threshold: float, number: int) -> None:
    """Show scores over time, explanation and voice analysis."""
    if detection.p_deepfake is not None:
        show_scores(upload, detection, detector, threshold)
        show_explanation(upload, detection, detector, threshold, number)
    show_analysis(upload)


def show_scores(upload: Upload, detection: Detection, detector: Detector, threshold: float) -> None:
    """Show what each window says."""
    st.markdown("##### Scores over time")
    margin = detector.metadata.margin
    drawn = pictures.is_drawn(detection)

    def draw() -> bytes:
        signal = results.signal_of(upload) if drawn else results.NOTHING
        return pictures.over_time(detection, signal, threshold, margin)

    st.image(once(upload, ("scores", detector.model.name, threshold), draw), width=PICTURE_PIXELS)
    st.markdown(words.regions(detection))
    st.caption(words.SEGMENTS)
    if not drawn:
        st.caption(words.LONG)


def show_explanation(upload: Upload, detection: Detection, detector: Detector, threshold: float, number: int) -> None:
    """Show a button, and what it found once it was pressed."""
    st.markdown("##### What moved the score")
    what = ("explanation", detector.model.name, detection.verdict)
    if not is_kept(upload, what):
        st.caption(words.EXPLAIN)
        place = st.empty()
        if not place.button("Explain the score", key=f"explain-{number}", icon=":material/search:"):
            return
        place.empty()

    def make() -> tuple[bytes, str] | None:
        bar = st.progress(0.0, text="Explaining…")
        found = results.explanation(
            upload, detector, detection, threshold, lambda done, of: bar.progress(done / of, text="Explaining…")
        )
        bar.empty()
        if found is None:
            return None
        start = results.stretch_start(found, detection)
        signal = results.signal_of(upload, start, float(found.ends[-1]) - start)
        return pictures.explained(found, signal, start), words.explanation(found)

    made = once(upload, what, make)
    if made is None:
        st.info("There is too little speech to explain.")
        return
    st.image(made[0], width=PICTURE_PIXELS)
    st.markdown(made[1])


def show_analysis(upload: Upload) -> None:
    """Show the voice analysis, apart from the verdict."""
    st.divider()
    st.markdown("##### Voice analysis")
    st.caption(words.ANALYSIS)
    with st.spinner("Measuring…"):
        found = once(upload, ("analysis",), lambda: results.analysis(upload))
    if isinstance(found, NotAnalysed):
        st.info("This recording cannot be measured.")
        return
    st.image(once(upload, ("voice",), lambda: pictures.voice(found)), width=PICTURE_PIXELS)
    notes = words.notes(found)
    st.markdown("\n".join(f"- {note}" for note in notes) or "Nothing is outside of what genuine clips have.")
    with st.expander("All figures"):
        st.markdown(words.figures(found))
        st.caption(words.ranges(found))


# --- the page --------------------------------------------------------------------------------------------------


def show_results(uploads: list[Upload], detector: Detector, threshold: float) -> None:
    """Show all verdicts first, and then what takes longer."""
    shown: list[Detection | Skipped] = []
    details = []
    for number, upload in enumerate(uploads):
        with st.container(border=True):
            result = judge(upload, detector, threshold)
            show_verdict(upload, result)
            if not isinstance(result, Skipped):
                key = f"details-{number}-{upload.sha256[:16]}"
                if st.toggle("Details", value=len(uploads) == 1, key=key):
                    details.append((number, st.container()))
            shown.append(result)
    for number, place in details:
        with place, st.spinner("Looking for parts that look synthetic…"):
            shown[number] = locate(uploads[number], shown[number])
    show_downloads(shown)
    for number, place in details:
        result = shown[number]
        if not isinstance(result, Skipped):
            with place:
                show_details(uploads[number], result, detector, threshold, number)


def judge(upload: Upload, detector: Detector, threshold: float) -> Detection | Skipped:
    """Return what a model says at a threshold."""
    with st.spinner("Listening…"):
        scored = once(upload, ("score", detector.model.name), lambda: results.score(upload, detector))
    result: Detection | Skipped = results.named(scored, upload)
    if isinstance(result, Skipped):
        return result
    return results.decided(result, threshold, detector.metadata.margin)


def locate(upload: Upload, result: Detection | Skipped) -> Detection | Skipped:
    """Return a result with the parts that look synthetic, if it has a score and is not too long."""
    if isinstance(result, Skipped) or result.p_deepfake is None or not pictures.is_drawn(result):
        return result
    model = result.model.name
    found = once(upload, ("regions", model), lambda: results.regions(upload, load(model, locating=True)))
    return dataclasses.replace(result, regions=found)


def show_downloads(decided: list[Detection | Skipped]) -> None:
    """Show what can be taken along."""
    with st.container(horizontal=True):
        for kind, text, media_type in (
            ("JSON", results.as_json(decided), "application/json"),
            ("CSV", results.as_csv(decided), "text/csv"),
        ):
            st.download_button(
                f"Download {kind}",
                text,
                file_name=f"deepfake-audio.{kind.lower()}",
                mime=media_type,
                on_click="ignore",
                icon=":material/download:",
            )


def show_page() -> None:
    """Show everything."""
    st.set_page_config(page_title="deepfake-audio", page_icon=words.ICON, layout="centered")
    st.html(STYLE)
    st.title("Is this voice real?", anchor=False)
    st.markdown(words.INTRODUCTION)
    uploads = choose_recordings()
    detector, threshold = choose_decision()
    forget_others(uploads)
    if uploads:
        show_results(uploads, detector, threshold)
    with st.expander("What it cannot do", icon=":material/warning:"):
        st.markdown(words.LIMITS)
    with st.expander("Privacy", icon=":material/lock:"):
        st.markdown(words.PRIVACY)


show_page()
