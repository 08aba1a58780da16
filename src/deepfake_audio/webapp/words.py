"""What the page says of results: Markdown in which nothing stands that came from a visitor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepfake_audio.calibration import p_deepfake
from deepfake_audio.detector import REASONS

if TYPE_CHECKING:
    from deepfake_audio.analysis import Analysis
    from deepfake_audio.detector import Detection
    from deepfake_audio.explanation import Explanation

# Of each verdict its name, sign and colour (which nobody needs to see), and what it means.
VERDICTS = {
    "genuine": (
        "Genuine",
        ":material/record_voice_over:",
        "green",
        "It sounds like the recordings of people that the model knows.",
    ),
    "deepfake": (
        "Deepfake",
        ":material/smart_toy:",
        "orange",
        "It sounds like the synthesisers, cloners and converters that the model knows.",
    ),
    "inconclusive": ("Inconclusive", ":material/help:", "violet", "Take it as no answer:"),
    "no_speech": ("No speech", ":material/volume_off:", "gray", "Silence, a hum or a tone: there is nothing to judge."),
}
POINTS = {
    "own": "the model's own threshold",
    "balanced": "balanced",
    "few-false-alarms": "few false alarms",
    "few-misses": "few misses",
    "probability": "a probability of my choice",
}
POINTS_MEAN = {
    "own": "Genuine recordings and deepfakes weigh the same.",
    "balanced": "Genuine recordings and deepfakes weigh the same.",
    "few-false-alarms": "Of the genuine recordings held out in training, at most 1 % were called deepfake; in return, "
    "more deepfakes pass.",
    "few-misses": "Of the deepfakes held out in training, at most 5 % were called genuine; in return, more genuine "
    "recordings are suspected.",
    "probability": "The higher it is, the fewer genuine recordings are suspected, and the more deepfakes pass.",
}
MODELS = {
    "default": "default: a support vector machine, the most accurate",
    "svm": "svm: a smaller support vector machine",
    "cnn": "cnn: a neural network, the least accurate",
}

INTRODUCTION = """
See whether a recording sounds **genuine** or like a **deepfake**: text-to-speech, voice cloning, voice conversion.
"""
# Drawn here, since Streamlit would have the browser fetch a named icon from another site.
ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16" width="64" height="64">'
    '<path stroke="#D55E00" stroke-width="2" stroke-linecap="round" d="M2 7v2M5 4v8M8 2v12M11 5v6M14 7v2"/></svg>'
)
PRIVACY = """
- Recordings go to the computer that runs this page, and no further. The model runs there; nothing is asked of the
  internet.
- They are held in memory while this page is open, and gone soon after it is closed or reloaded. They are on disk only
  for the moment of decoding, in a file that nobody else can open and that is deleted at once.
- Nobody else who uses this page sees your recordings, their names or their results.
"""
LIMITS = """
- It is wrong often enough that **no single verdict should decide anything about anybody**: on recordings of sources
  that it was not trained on, the default model had 87 of 100 on the right side of the threshold. Take it as one hint
  among others.
- It knows the generators that it was trained on. Others may pass, and so may a fake that was played through a
  loudspeaker and recorded again. Those who know the detector can fool it.
- It judges whether a voice was made by a machine, not whose voice it is, and not whether what is said is true.
- Strong compression and telephone lines make it worse. Singing, whispering and children were hardly trained on. Most of
  the training speech is English. Noise, music and animals mostly pass as genuine: such a verdict means nothing.
- One spliced sentence in a long genuine recording may be lost in the average: look at the scores over time, and at
  the parts that look synthetic.
"""
EXAMPLE = "The example was made by the text-to-speech program Flite: no person ever spoke it."
SEGMENTS = (
    "The score of one window is an indication, not a verdict of its own: the verdict is about all of them together."
)
LONG = (
    "Of a recording of more than 10 minutes no waveform and spectrogram are drawn, and no synthetic parts are looked "
    "for; verdict and scores are of all of it."
)
REGIONS_CHANGE_NOTHING = "They are found apart from the verdict, and change none."
EXPLAIN = (
    "Which times and frequencies moved the score: each is replaced by noise that is as loud, and what the model says "
    "then is compared. It takes some seconds. Of a long recording it is done for the half minute that speaks most for "
    "the verdict."
)
ANALYSIS = (
    "Measured in the sound itself, **apart from the verdict**: no figure here makes or changes one, and none proves "
    "anything. About one in five genuine clips has a figure outside of its range, and synthetic ones no more often."
)


def headline(detection: Detection) -> str:
    """Return the verdict as a heading."""
    name, sign, colour, _ = VERDICTS[detection.verdict]
    return f":{colour}[{sign} **{name}**]"


def meaning(detection: Detection) -> str:
    """Return what the verdict means, with the reasons of one that is inconclusive."""
    text = VERDICTS[detection.verdict][3]
    reasons = "; ".join(REASONS[reason] for reason in detection.reasons)
    return f"{text} {reasons}." if reasons else text


def probability(detection: Detection) -> str:
    """Return the probability of a deepfake in words; never 0 % or 100 %, which would be certain."""
    p = detection.p_deepfake
    if p is None:
        return ""
    return f"Probability of a deepfake: {percent(p)}"


def percent(p: float) -> str:
    """
    Return a probability in percent.

    Examples:
        >>> percent(0.98976), percent(0.99999), percent(0.0001)
        ('99.0 %', 'more than 99.9 %', 'less than 0.1 %')
    """
    if p > 0.999:  # noqa: PLR2004
        return "more than 99.9 %"
    return "less than 0.1 %" if p < 0.001 else f"{100 * p:.1f} %"  # noqa: PLR2004


def decision(threshold: float, margin: float) -> str:
    """Return what the threshold means in probabilities."""
    above, below = (percent(p_deepfake(threshold + side)) for side in (-margin, margin))
    return f"Above {above} the verdict is deepfake, below {below} genuine; what lies between is inconclusive."


def facts(detection: Detection) -> str:
    """Return what the recording is, in one line."""
    channels = {1: "mono", 2: "stereo"}.get(detection.channels, f"{detection.channels} channels")
    return (
        f"{detection.duration_seconds:,.1f} s, {detection.speech_seconds:,.1f} s of speech, "
        f"{detection.sample_rate:,} Hz, {channels}"
    )


def regions(detection: Detection) -> str:
    """Return where the recording looks synthetic; nothing if that was not looked for."""
    if detection.regions is None:
        return ""
    if not detection.regions:
        return "No part of it stands out as synthetic."
    places = ", ".join(f"{region.start:.1f} to {region.end:.1f} s" for region in detection.regions)
    return f"These parts look synthetic: **{places}**. {REGIONS_CHANGE_NOTHING}"


def figures(found: Analysis) -> str:
    """Return all figures of an analysis as a table."""
    from deepfake_audio.reports.analysis import range_in_words, value_in_words

    rows = [
        f"| {'**' * figure.outside}{figure.title}{'**' * figure.outside} | {value_in_words(figure)} "
        f"| {range_in_words(figure) or '-'} |"
        for figure in found.figures
    ]
    return "\n".join(["| figure | here | genuine clips |", "|---|--:|--:|", *rows])


def ranges(found: Analysis) -> str:
    """Return what was measured, and what it is compared with."""
    from deepfake_audio.reports.analysis import facts_in_words, reference_in_words

    return f"{facts_in_words(found)}. {reference_in_words(found.reference)}"


def notes(found: Analysis) -> list[str]:
    """Return a sentence for each figure that is outside of its range or has a note, and for each abrupt change."""
    from deepfake_audio.reports.analysis import events_in_words

    said = [f"**{figure.title}**: {figure.note}" for figure in found.figures if figure.note]
    return said + [f"**{kind}**:{places}" for kind, _, places in (e.partition(":") for e in events_in_words(found))]


def explanation(found: Explanation) -> str:
    """Return which band and which time speak most for deepfake, and which for genuine."""
    low, high = found.edges_hz[:-1], found.edges_hz[1:]
    lines = []
    for name, sign in (("deepfake", -1.0), ("genuine", 1.0)):
        bands, times = sign * found.by_band, sign * found.by_time
        band, time = int(bands.argmax()), int(times.argmax())
        if bands[band] <= 0 or times[time] <= 0:
            lines.append(f"- Little speaks for **{name}**.")
            continue
        lines.append(
            f"- Most for **{name}** speak {low[band] / 1000:.1f} to {high[band] / 1000:.1f} kHz, and "
            f"{found.starts[time]:.1f} to {found.ends[time]:.1f} s."
        )
    return "\n".join(lines)
