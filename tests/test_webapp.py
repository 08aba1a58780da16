"""The page: what it finds out, what it says, how it is served; and the page itself, as Streamlit runs it in a test."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
import json
import math
import os
import socket
import stat
import subprocess
import sys
import tempfile
import types
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile
from signals import RATE, silence, sine, voice

from deepfake_audio import audio
from deepfake_audio.analysis import FIGURES, Analysis, NotAnalysed
from deepfake_audio.calibration import llr_at
from deepfake_audio.detector import REASONS, Detection, Detector, ModelRef, Skipped
from deepfake_audio.errors import MissingExtraError, OutputError
from deepfake_audio.webapp import results, server, words
from deepfake_audio.webapp.results import Upload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from commandline import Run

SYNTHETIC = Path(__file__).parent / "data" / "synthetic.flac"
PAGE = server.PAGE


@pytest.fixture(scope="module")
def detector() -> Detector:
    """Return the model that the page begins with."""
    return Detector.load()


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the directory in which temporary files are made, empty."""
    directory = tmp_path / "temporary"
    directory.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    return directory


def wav(signal: Any, rate: int = RATE) -> bytes:
    """Return a signal as the bytes of a file."""
    return encoded(signal, rate, format="WAV")


def encoded(signal: Any, rate: int, **options: str) -> bytes:
    """Return a signal in some format."""
    stream = io.BytesIO()
    soundfile.write(stream, signal, rate, **options)
    return stream.getvalue()


def detection(llr: float | None, *reasons: str) -> Detection:
    """Return what a detector could have said."""
    verdict: Any = "no_speech" if llr is None else "inconclusive" if reasons else "deepfake" if llr < 0 else "genuine"
    p = None if llr is None else 1 / (1 + math.exp(llr))
    model = ModelRef("default", "1" * 64)
    return Detection("a.wav", verdict, p, llr, reasons, 2.0, 1.5, 48_000, 2, "0" * 64, (), model)


# --- verdicts --------------------------------------------------------------------------------------------------


def test_score_is_that_of_the_file(detector: Detector) -> None:
    """An upload gets what its file would get, under its own name."""
    found = results.score(Upload("../../etc/pass\nwd", SYNTHETIC.read_bytes()), detector)
    assert found == dataclasses.replace(detector.score(SYNTHETIC), path="../../etc/pass\nwd")


@pytest.mark.parametrize(
    ("content", "reason", "message"),
    [
        (b"", "empty", "The file is empty (0 bytes)."),
        (b"\x01\x02\x03" * 1000, "not_audio", "It is not audio that can be read"),
        (SYNTHETIC.read_bytes()[:60_000], "truncated", "The FLAC data is damaged or cut off"),
        (wav(silence(0.0)), "no_samples", "A valid audio file without a single sample."),
        (encoded([np.nan] * 100, RATE, format="WAV", subtype="FLOAT"), "not_finite", "It holds NaN"),
    ],
    ids=["empty", "noise", "cut", "no samples", "not finite"],
)
def test_unreadable(content: bytes, reason: str, message: str, detector: Detector, temporary: Path) -> None:
    """What cannot be read gets one sentence, in which nothing is said of the temporary file, which is gone."""
    found = results.score(Upload("a.wav", content), detector)
    assert isinstance(found, Skipped)
    assert (found.path, found.reason) == ("a.wav", reason)
    assert found.message.startswith("a.wav: ")
    assert results.message_of(found).startswith(message)
    assert results.message_of(found).endswith(".")
    assert str(temporary) not in found.message
    assert not list(temporary.iterdir())


def test_too_long(detector: Detector, monkeypatch: pytest.MonkeyPatch, temporary: Path) -> None:
    """What lasts longer than the page takes is refused, with the way to have it judged."""
    monkeypatch.setattr(results, "MAX_HOURS", 2.0 / 3600)
    assert isinstance(results.score(Upload("a.wav", wav(voice(1.9))), detector), Detection)
    found = results.score(Upload("a.wav", wav(voice(2.1))), detector)
    assert isinstance(found, Skipped)
    assert found.reason == "too_long"
    assert "`deepfake-audio predict`" in results.message_of(found)
    assert not list(temporary.iterdir())


def test_files_are_private(detector: Detector, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it is decoded, a recording lies where only this user can look, under a name that tells nothing."""
    seen = []

    @contextlib.contextmanager
    def spy(path: Path) -> Iterator[Any]:
        seen.append((path.name, stat.S_IMODE(path.parent.stat().st_mode), path.parent.parent))
        with audio.open_recording(path) as recording:
            yield recording
            assert not path.exists()  # gone as soon as it was opened

    monkeypatch.setattr(results, "open_recording", spy)
    upload = Upload("../secret.wav", SYNTHETIC.read_bytes())
    results.score(upload, detector)
    results.signal_of(upload)
    assert seen == [("recording", 0o700, temporary)] * 2
    assert isinstance(results.analysis(upload), Analysis)
    assert len(seen) == 3
    assert not list(temporary.iterdir())


def test_what_cannot_be_analysed(temporary: Path) -> None:
    """The voice analysis of a broken file says why, under the upload's name."""
    found = results.analysis(Upload("a.wav", b"x"))
    assert isinstance(found, NotAnalysed)
    assert (found.path, found.reason) == ("a.wav", "not_audio")
    assert str(temporary) not in found.message


@pytest.mark.parametrize("percent", [1, 30, 50, 97, 99])
def test_decided_as_the_detector_would(percent: int) -> None:
    """Another threshold gives the verdict that a detector with that threshold gives."""
    threshold = results.threshold_at(percent)
    assert threshold == llr_at(percent / 100)
    detector = Detector.load()
    expected = Detector.load(threshold=threshold).score(SYNTHETIC)
    first = detector.score(SYNTHETIC)
    assert isinstance(first, Detection)
    assert results.decided(first, threshold, detector.metadata.margin) == expected


@pytest.mark.parametrize(
    ("given", "threshold", "verdict", "reasons"),
    [
        (detection(1.0), 0.0, "genuine", ()),
        (detection(1.0), 1.4, "inconclusive", ("too_close",)),
        (detection(1.0), 2.0, "deepfake", ()),
        (detection(1.0), 0.5, "genuine", ()),  # exactly the margin away is far enough
        (detection(0.1, "too_close"), -3.0, "genuine", ()),
        (detection(0.1, "too_close"), 3.0, "deepfake", ()),
        (detection(2.0, "too_short"), 0.0, "inconclusive", ("too_short",)),
        (detection(2.0, "out_of_domain"), 0.0, "inconclusive", ("out_of_domain",)),
        (detection(2.0, "out_of_domain"), 2.1, "inconclusive", ("too_close", "out_of_domain")),
        (detection(None), 1.0, "no_speech", ()),
    ],
)
def test_decided(given: Detection, threshold: float, verdict: str, reasons: tuple[str, ...]) -> None:
    """Only what depends on the threshold changes with it."""
    found = results.decided(given, threshold, 0.5)
    assert (found.verdict, found.reasons) == (verdict, reasons)
    assert dataclasses.replace(found, verdict=given.verdict, reasons=given.reasons) == given


def test_thresholds(detector: Detector) -> None:
    """The model's own comes first, and no other is the same."""
    found = results.thresholds(detector)
    assert list(found) == ["own", "few-false-alarms", "few-misses"]
    assert found["own"] == detector.metadata.threshold
    assert found["few-misses"] == detector.metadata.operating_points["few-misses"]


def test_regions() -> None:
    """What the detector finds is found in an upload, and told in words."""
    locator = results.shipped("default", locating=True)
    found = results.regions(results.example(), locator)
    expected = locator.score(SYNTHETIC)
    assert isinstance(expected, Detection)
    assert found == expected.regions
    assert len(found) == 1  # all of it
    told = words.regions(dataclasses.replace(detection(-1.0), regions=found))
    assert f"**{found[0].start:.1f} to {found[0].end:.1f} s**" in told
    assert words.regions(detection(-1.0)) == ""
    assert words.regions(dataclasses.replace(detection(1.0), regions=())) == "No part of it stands out as synthetic."


@pytest.mark.parametrize("percent", [-5, 0, 100, 10**9])
def test_threshold_from_a_forged_message(percent: int) -> None:
    """Whatever a browser sends for the slider, the threshold is a number."""
    assert abs(results.threshold_at(percent)) == pytest.approx(np.log(99))


@pytest.mark.parametrize("name", ["/etc/passwd", "../default", "", "DEFAULT"])
def test_model_from_a_forged_message(name: str) -> None:
    """Whatever a browser sends for the model, no file but those that ship is opened."""
    with pytest.raises(ValueError, match="no shipped model"):
        results.shipped(name)


# --- names, signals, downloads ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a.wav", "a.wav"),
        ("two\nlines\x1b[2J.wav", "two\\nlines\\x1b[2J.wav"),
        ("fdp.\u202egpj.wav", "fdp.\\u202egpj.wav"),
        ("x" * 80, "x" * 80),
        ("x" * 81 + ".wav", "x" * 60 + "…" + "x" * 15 + ".wav"),
        ("", ""),
    ],
)
def test_shown_name(name: str, shown: str) -> None:
    """A name is one short line, and does not turn the direction of writing around."""
    assert Upload(name, b"").shown_name == shown


def test_signal_of_a_part() -> None:
    """A part of the signal is that part of the whole."""
    upload = Upload("a.flac", SYNTHETIC.read_bytes())
    whole = results.signal_of(upload)
    np.testing.assert_allclose(whole, soundfile.read(SYNTHETIC, dtype="float32")[0])
    np.testing.assert_array_equal(results.signal_of(upload, 1.0, 0.5), whole[16_000:24_000])
    np.testing.assert_array_equal(results.signal_of(upload, 5.0), whole[80_000:])


@pytest.mark.parametrize(
    ("options", "media_type"),
    [
        ({"format": "WAV"}, "audio/wav"),
        ({"format": "FLAC"}, "audio/flac"),
        ({"format": "OGG", "subtype": "VORBIS"}, "audio/ogg"),
        ({"format": "OGG", "subtype": "OPUS"}, "audio/ogg"),
        ({"format": "MP3"}, "audio/mpeg"),
        ({"format": "AIFF"}, None),
        ({"format": "AU"}, None),
    ],
    ids=str,
)
def test_playable(options: dict[str, str], media_type: str | None) -> None:
    """A browser gets a file as it is where it can play it; what it is goes by the content, not by the name."""
    content = encoded(sine(), RATE, **options)
    found = results.playable(Upload("a.html", content))
    assert found == ((None, "audio/wav") if media_type is None else (content, media_type))


def test_downloads(detector: Detector) -> None:
    """Downloads hold the records of the command line, with the names as they were."""
    names = ['=1+1,"\n.wav', "broken.wav"]
    found = [
        results.score(Upload(names[0], SYNTHETIC.read_bytes()), detector),
        results.score(Upload(names[1], b"x"), detector),
    ]
    records = json.loads(results.as_json(found))
    assert [record["path"] for record in records] == names
    assert [record["status"] for record in records] == ["scored", "skipped"]
    assert records[0]["segments"][0]["p_deepfake"] > 0.5
    rows = list(csv.DictReader(results.as_csv(found).splitlines(keepends=True)))
    assert [row["path"] for row in rows] == names
    assert rows[0]["verdict"] == "deepfake"


def test_the_example_is_ours(detector: Detector) -> None:
    """The example is the recording of which tests/data/README.md says where it is from, and is called what it is."""
    assert results.example().content == SYNTHETIC.read_bytes()
    found = results.score(results.example(), detector)
    assert isinstance(found, Detection)
    assert found.verdict == "deepfake"


def test_where_an_explanation_is_drawn_from(detector: Detector) -> None:
    """A short recording is drawn whole, of a long one the stretch that is explained."""
    found: Any = types.SimpleNamespace(starts=np.array([42.0]))
    short = results.score(results.example(), detector)
    assert isinstance(short, Detection)
    assert results.stretch_start(found, short) == 0.0
    assert results.stretch_start(found, dataclasses.replace(short, duration_seconds=61.0)) == 42.0


# --- words -----------------------------------------------------------------------------------------------------


def test_words_of_verdicts() -> None:
    """Each verdict is named in words beside its colour, and an inconclusive one says all its reasons."""
    for verdict, (name, *_, meaning) in words.VERDICTS.items():
        given = dataclasses.replace(detection(1.0), verdict=verdict)  # type: ignore[arg-type]
        assert f"**{name}**" in words.headline(given)
        assert words.meaning(given) == meaning
    given = detection(0.1, "too_short", "too_close", "out_of_domain")
    assert all(reason in words.meaning(given) for reason in REASONS.values())
    assert words.probability(detection(0.0)) == "Probability of a deepfake: 50.0 %"
    assert words.probability(detection(None)) == ""


def test_words_of_a_threshold() -> None:
    """The margin is told in probabilities: ln 2 on either side of even odds is a third and two thirds."""
    assert words.decision(0.0, np.log(2)) == (
        "Above 66.7 % the verdict is deepfake, below 33.3 % genuine; what lies between is inconclusive."
    )


def test_words_of_every_model_and_threshold(detector: Detector) -> None:
    """Whatever can be chosen has words."""
    from deepfake_audio.modelfile import SHIPPED

    assert set(words.MODELS) == set(SHIPPED)
    assert set(words.POINTS) == set(words.POINTS_MEAN)
    assert {*results.thresholds(detector), "probability"} <= set(words.POINTS)


def test_words_of_an_analysis() -> None:
    """The table has a row for each figure, and what is outside of its range stands out and has its sentence."""
    found = results.analysis(Upload("a.wav", wav(np.clip(3 * voice(4.0), -0.5, 0.5))))
    assert isinstance(found, Analysis)
    assert found.path == "a.wav"
    rows = words.figures(found).splitlines()[2:]
    assert len(rows) == len(FIGURES)
    assert sum("**" in row for row in rows) == len(found.outside)
    assert all(row.count("|") == 4 for row in rows)
    assert words.ranges(found).startswith("4.00 s, ")
    assert f"{found.reference.n_clips:,} clips" in words.ranges(found)
    assert len(words.notes(found)) >= len([figure for figure in found.figures if figure.note]) > 0


def test_words_of_an_explanation() -> None:
    """The strongest band and time of either side are named; where nothing speaks for a side, that is said."""
    found: Any = types.SimpleNamespace(
        starts=np.array([0.0, 1.5]),
        ends=np.array([1.5, 3.0]),
        edges_hz=np.array([0.0, 1000.0, 8000.0]),
        by_band=np.array([-3.0, -0.5]),
        by_time=np.array([-2.0, -1.5]),
    )
    assert words.explanation(found) == (
        "- Most for **deepfake** speak 0.0 to 1.0 kHz, and 0.0 to 1.5 s.\n- Little speaks for **genuine**."
    )
    found.by_band = np.array([-0.1, 0.2])
    found.by_time = np.array([-0.3, 0.4])
    assert words.explanation(found) == (
        "- Most for **deepfake** speak 0.0 to 1.0 kHz, and 0.0 to 1.5 s.\n"
        "- Most for **genuine** speak 1.0 to 8.0 kHz, and 1.5 to 3.0 s."
    )


# --- serving ---------------------------------------------------------------------------------------------------


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings keep to this machine, and those of somebody else's Streamlit are left out."""
    monkeypatch.setenv("STREAMLIT_SERVER_ENABLE_XSRF_PROTECTION", "false")
    monkeypatch.setenv("STREAMLIT_THEME_BASE", "dark")
    found = server.environment("127.0.0.1", 8600)
    expected = {
        "SERVER_ADDRESS": "127.0.0.1",
        "SERVER_PORT": "8600",
        "SERVER_MAX_UPLOAD_SIZE": "50",
        "SERVER_ENABLE_XSRF_PROTECTION": "true",
        "SERVER_ENABLE_CORS": "true",
        "BROWSER_GATHER_USAGE_STATS": "false",
        "SERVER_FILE_WATCHER_TYPE": "none",
        "CLIENT_TOOLBAR_MODE": "minimal",
    }
    assert {f"STREAMLIT_{name}": value for name, value in expected.items()}.items() <= found.items()
    assert "STREAMLIT_THEME_BASE" not in found
    assert {found["http_proxy"], found["HTTPS_PROXY"]} == {"http://127.0.0.1:9"}  # nobody there
    assert found["PATH"] == os.environ["PATH"]
    assert "evil.example" not in found["STREAMLIT_SERVER_ALLOWED_HOSTS"]
    assert "STREAMLIT_SERVER_ALLOWED_HOSTS" not in server.environment("192.0.2.1", 8600)


def test_a_port_in_use(run: Run) -> None:
    """One line says so and what to do."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(OutputError, match=f"port {port}"):
            server.free_port("127.0.0.1", port)
        if find_spec("streamlit"):
            outcome = run("app", "--no-browser", "--port", port)
            assert (outcome.code, outcome.out) == (2, "")
            assert len(outcome.err.splitlines()) == 1
            assert "--port" in outcome.err
    assert server.free_port("127.0.0.1", 0) > 0


def test_a_host_that_is_none() -> None:
    """An address that is not this machine's is one line, too."""
    with pytest.raises(OutputError, match=r"192\.0\.2\.1"):
        server.free_port("192.0.2.1", 0)
    with pytest.raises(OutputError, match="nothing can listen"):
        server.free_port("a" * 300, 0)


def test_without_streamlit(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line says what to install."""
    monkeypatch.setattr(server, "find_spec", lambda _name: None)
    outcome = run("app", "--no-browser")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == f"deepfake-audio: {MissingExtraError('app', 'the page')}\n"


def test_help_is_quick() -> None:
    """Asking for help imports neither Streamlit nor what the page needs."""
    code = (
        "import sys; from deepfake_audio import cli; sys.argv = ['deepfake-audio', 'app', '--help']\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        "print([m for m in ('streamlit', 'matplotlib', 'librosa', 'onnxruntime') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert "--no-browser" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


# --- the page --------------------------------------------------------------------------------------------------


@pytest.fixture
def page() -> Any:
    """Return the page as a visitor meets it."""
    pytest.importorskip("streamlit")
    from streamlit.testing.v1 import AppTest

    return AppTest.from_file(str(PAGE), default_timeout=120).run()


def show(page: Any, upload: Upload, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Have the page look at a recording."""
    monkeypatch.setattr(results, "example", lambda: upload)
    return page.toggle(key="example").set_value(True).run()


def headings(page: Any) -> list[str]:
    """Return the verdicts on the page."""
    return [heading.value for heading in page.subheader]


def count_calls(monkeypatch: pytest.MonkeyPatch, name: str) -> list[str]:
    """Return a list that grows by the hash of the content with each call of a function of `results`."""
    calls: list[str] = []
    original: Callable[..., Any] = getattr(results, name)

    def counting(upload: Upload, *args: Any, **options: Any) -> Any:
        calls.append(upload.sha256)
        return original(upload, *args, **options)

    monkeypatch.setattr(results, name, counting)
    return calls


def test_page_example(page: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example is judged and all is seen; a content is worked on once per model, whatever the threshold."""
    scored, analysed = count_calls(monkeypatch, "score"), count_calls(monkeypatch, "analysis")
    assert headings(page) == []
    page.toggle(key="example").set_value(True).run()
    assert not page.exception
    assert headings(page) == [words.headline(detection(-1.0))]
    assert [text.value for text in page.text] == ["example.flac"]
    assert any(m.value.startswith("These parts look synthetic") for m in page.markdown)
    assert [m.value for m in page.markdown if m.value.startswith("##### ")] == [
        "##### Scores over time",
        "##### What moved the score",
        "##### Voice analysis",
    ]
    page.selectbox[1].set_value("probability").run()
    page.slider[0].set_value(99).run()
    assert headings(page) == [words.headline(detection(0.1, "too_close"))]
    assert (len(scored), len(analysed)) == (1, 1)
    page.selectbox[0].set_value("svm").run()
    page.selectbox[0].set_value("default").run()
    assert not page.exception
    assert (len(scored), len(analysed)) == (2, 1)
    page.toggle(key="example").set_value(False).run()
    assert headings(page) == []
    assert page.session_state["kept"] == {}  # what is no longer there is forgotten


@pytest.mark.parametrize(
    ("signal", "verdict"), [(silence(2.0), "no_speech"), (sine(seconds=0.3), "no_speech")], ids=["silence", "short"]
)
def test_page_without_speech(signal: Any, verdict: str, page: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is nothing to judge there are no scores, and the voice analysis has nothing to fail on."""
    show(page, Upload("a.wav", wav(signal)), monkeypatch)
    assert not page.exception
    assert headings(page) == [words.headline(dataclasses.replace(detection(None), verdict=verdict))]  # type: ignore[arg-type]
    assert not page.button


def test_page_broken_file(page: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken file is one message on the page."""
    show(page, Upload("<b>broken</b>.wav", b"x" * 100), monkeypatch)
    assert not page.exception
    assert len(page.error) == 1
    assert "not audio that can be read" in page.error[0].value
    assert "broken" not in page.error[0].value
    assert headings(page) == []
    assert [text.value for text in page.text] == ["<b>broken</b>.wav"]  # as plain text, not as Markdown


def test_page_names_are_plain_text(page: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name is written by `st.text` alone, which knows neither Markdown nor HTML."""
    name = "<img src=x onerror=alert(1)>![](http://192.0.2.1/x.png).wav"
    show(page, Upload(name, SYNTHETIC.read_bytes()), monkeypatch)
    assert [text.value for text in page.text] == [name]
    others = [e.value for kind in (page.markdown, page.caption, page.subheader, page.error) for e in kind]
    assert others
    assert not any("onerror" in value or "192.0.2.1" in value for value in others)


def test_pages_know_nothing_of_each_other(page: Any) -> None:
    """What one visitor looks at is not in the session of another."""
    from streamlit.testing.v1 import AppTest

    page.toggle(key="example").set_value(True).run()
    other = AppTest.from_file(str(PAGE), default_timeout=120).run()
    assert headings(other) == []
    assert other.session_state["kept"] == {}
    assert page.session_state["kept"]
