"""
The figures of an analysis: what each is called, and what can be said where genuine speech has it differently.

``FIGURES`` lists them in the order of a report. A figure is compared with genuine clips on the sides for which it has
words; what it may mean is said in one sentence, which never names a verdict: each such thing happens to genuine
recordings, and good deepfakes show none of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deepfake_audio.analysis.reference import Range, Reference


@dataclass(frozen=True)
class FigureSpec:
    """
    What a figure is.

    Attributes:
        title: What people call it.
        unit: Of its value; empty for a count or a ratio.
        digits: After the point, where people read it.
        low: What a value below those of genuine clips may come from; empty if that is not remarkable.
        high: Likewise above.
    """

    title: str
    unit: str
    digits: int
    low: str = ""
    high: str = ""


FIGURES: dict[str, FigureSpec] = {
    "pitch_median_hz": FigureSpec(
        "median pitch",
        "Hz",
        0,
        "a very deep or creaking voice, or one that was made deeper",
        "a child, a very high or excited voice, or one that was made higher",
    ),
    "pitch_range_semitones": FigureSpec(
        "pitch range (5 to 95 %)",
        "semitones",
        1,
        "monotonous speech, read or synthesised, or hardly any of it",
        "lively speech, several voices, or music and noise that mislead the measurement",
    ),
    "pitch_variation_percent": FigureSpec(
        "pitch change from frame to frame",
        "%",
        2,
        "a pitch that is smoother than in speech: a synthesiser, pitch correction, singing",
        "a hoarse or trembling voice, noise, or a vocoder that fails to hold the pitch",
    ),
    "voiced_percent": FigureSpec(
        "voiced share of speech",
        "%",
        0,
        "whispering, strong noise, or a band so narrow that the pitch is lost",
        "hardly any consonants: singing, humming, babble, or synthesis that lost them",
    ),
    "loudness_dbfs": FigureSpec(
        "mean level",
        "dBFS",
        1,
        "a very quiet recording",
        "a very loud recording, compressed or limited",
    ),
    "peak_dbfs": FigureSpec("peak level", "dBFS", 1),
    "crest_db": FigureSpec(
        "peak above the mean of speech",
        "dB",
        1,
        "strong compression, limiting or clipping",
        "a click or a bang that is much louder than the speech",
    ),
    "level_range_db": FigureSpec(
        "level range within speech (5 to 95 %)",
        "dB",
        1,
        "strong compression, or noise that covers what is soft",
        "parts of very different loudness",
    ),
    "syllables_per_second": FigureSpec(
        "syllables per second of speech (estimate)",
        "",
        1,
        "slow or drawling speech, singing, or reverberation that blurs the syllables",
        "hurried speech, or speech that was made faster",
    ),
    "pauses": FigureSpec("pauses of 0.25 s and more", "", 0),
    "pause_mean_seconds": FigureSpec("mean pause", "s", 2, "", "long silences within the speech"),
    "pause_percent": FigureSpec("share of pauses", "%", 0, "", "much silence within the speech"),
    "spectral_tilt_db_per_octave": FigureSpec(
        "spectral tilt (0.3 to 3.4 kHz)",
        "dB/octave",
        1,
        "a muffled sound: a cover over the microphone, a wall, a filter, or a vocoder that lacks brilliance",
        "a thin or sharp sound: a telephone, an equaliser, or noise",
    ),
    "bandwidth_hz": FigureSpec(
        "bandwidth (to 60 dB below the strongest)",
        "Hz",
        0,
        "a telephone, a codec at a low bit rate, a filter, or a synthesiser of a low sample rate",
    ),
    "band_limit_hz": FigureSpec("band limit (a cliff in the spectrum)", "Hz", 0),
    "noise_floor_dbfs": FigureSpec("noise floor", "dBFS", 1),
    "speech_to_noise_db": FigureSpec("speech above the noise floor", "dB", 1, "a noisy place, or speech without gaps"),
    "digital_silence_percent": FigureSpec(
        "share of digital silence", "%", 1, "", "much of the recording was muted, gated, or never recorded"
    ),
    "digital_silence_longest_seconds": FigureSpec(
        "longest digital silence", "s", 2, "", "a part was muted, gated, or never recorded"
    ),
    "dc_offset_percent": FigureSpec(
        "DC offset",
        "%",
        2,
        "a fault of the sound hardware, or of a program that handled the file",
        "a fault of the sound hardware, or of a program that handled the file",
    ),
    "clipped_percent": FigureSpec("clipped samples", "%", 3, "", "it was recorded or made too loud"),
    "jolt_ratio": FigureSpec(
        "sharpest jolt (times those around it)",
        "",
        1,
        "a signal without any of the small clicks of lips, plosives and microphones",
        "clicks, plosives close to the microphone, lost packets, or cuts without a fade",
    ),
    "level_step_db": FigureSpec(
        "largest step of level",
        "dB",
        1,
        "",
        "a speaker who turns up or away, a second speaker, automatic gain, or a splice",
    ),
    "spectral_change_db": FigureSpec(
        "largest change of spectrum",
        "dB",
        1,
        "",
        "a second speaker, another place or microphone, an outburst, or a splice",
    ),
}


@dataclass(frozen=True)
class EventSpec:
    """
    What an event is.

    Attributes:
        kind: Its name in records.
        words: Its name for people.
        unit: Of its strength.
        needs_seconds: So much speech is compared at each place; in less there is none to look at.
    """

    kind: str
    words: str
    unit: str
    needs_seconds: float


# The figures that are the largest of many: the longer a recording is, the larger they get.
EVENTS = {
    "jolt_ratio": EventSpec("jolt", "a jolt: a click, or a cut without a fade", "", 0.0),
    "level_step_db": EventSpec("level_step", "the level steps up or down", "dB", 2.0),
    "spectral_change_db": EventSpec("spectral_change", "the spectrum changes", "dB", 2.0),
}
SILENCE = EventSpec("digital_silence", "digital silence begins", "s", 0.0)

_BAND_LIMITS = (
    (3_200, 4_150, "where telephone speech ends (8 kHz sampling)"),
    (4_900, 5_550, "where 11 kHz sampling ends, and MP3 at the lowest bit rates"),
    (6_900, 8_100, "where wideband calls and 16 kHz sampling end, which many synthesisers use"),
    (9_700, 11_100, "where 22 kHz sampling ends, which many synthesisers use, and MP3 at low bit rates"),
    (11_100, 12_100, "where 24 kHz sampling ends, which many synthesisers use, and MP3 at low bit rates"),
    (14_500, 17_200, "where MP3 at about 128 kbit/s, FM radio and 32 kHz sampling end"),
    (17_200, 20_500, "where MP3, AAC and Opus at higher bit rates end"),
)
# An offset of so much is heard as a click wherever the recording is cut.
_REMARKABLE_OFFSET = 1.0


@dataclass(frozen=True)
class Figure:
    """
    One figure of one recording.

    Attributes:
        name: One of ``FIGURES``.
        value: In its unit; None if it cannot be told of this recording.
        range: Percentiles of genuine clips; None if those say nothing of it.
        outside: Whether the value is beyond percentile 1 or 99, on a side that matters.
        note: One sentence where there is something to say, else empty.
    """

    name: str
    value: float | None
    range: Range | None
    outside: bool
    note: str

    @property
    def title(self) -> str:
        """What people call it."""
        return FIGURES[self.name].title

    @property
    def unit(self) -> str:
        """Of the value and the range."""
        return FIGURES[self.name].unit

    @property
    def low(self) -> float | None:
        """What 1 of 100 genuine clips stays below."""
        return None if self.range is None else self.range.p1

    @property
    def high(self) -> float | None:
        """What 1 of 100 genuine clips exceeds."""
        return None if self.range is None else self.range.p99


def judge(
    values: Mapping[str, float | None], reference: Reference, *, sample_rate: int, speech_seconds: float
) -> tuple[Figure, ...]:
    """
    Put the figures of a recording beside those of genuine clips.

    Args:
        values: Of each of ``FIGURES``.
        reference: The genuine clips.
        sample_rate: Of the file, in Hz.
        speech_seconds: How much speech there is.
    """
    figures = []
    for name, value in values.items():
        span = reference.range_of(name, speech_seconds)
        note = "" if value is None or span is None else _comparison(name, value, span, sample_rate)
        outside = bool(note)
        if value is not None and not note:
            note = _remark(name, value, values, sample_rate)
        figures.append(Figure(name, value, span, outside, note))
    return tuple(figures)


def _comparison(name: str, value: float, span: Range, sample_rate: int) -> str:
    spec = FIGURES[name]
    if value < span.p1 and spec.low and not _is_full(name, value, sample_rate):
        return f"Lower than in 99 of 100 genuine clips: {spec.low}."
    if value > span.p99 and spec.high:
        return f"Higher than in 99 of 100 genuine clips: {spec.high}."
    return ""


def _is_full(name: str, value: float, sample_rate: int) -> bool:
    """Return whether the sample rate of the file allows no more."""
    return name == "bandwidth_hz" and value >= 0.8 * sample_rate / 2


def _remark(name: str, value: float, values: Mapping[str, float | None], sample_rate: int) -> str:
    """Return a sentence on what is remarkable by itself, without any comparison."""
    holds = f"a file of {sample_rate / 1_000:g} kHz can hold up to {sample_rate / 2_000:g} kHz"
    if name == "band_limit_hz":
        where = next(
            (words for low, high, words in _BAND_LIMITS if low <= value < high),
            "as codecs, filters and resampling do it",
        )
        return f"The spectrum ends at {value / 1_000:.1f} kHz, {where}; {holds}."
    if name == "bandwidth_hz" and value < sample_rate / 4 and values["band_limit_hz"] is None:
        return f"Hardly any energy above {value / 1_000:.1f} kHz; {holds}."
    if name == "digital_silence_longest_seconds" and value > 0:
        return (
            "Samples that do not change: muting, gating, codecs, editing and synthesis leave these, a microphone none."
        )
    if name == "clipped_percent" and value > 0:
        return "Samples at full scale in a row: it was recorded or made too loud."
    if name == "dc_offset_percent" and abs(value) >= _REMARKABLE_OFFSET:
        return "The mean is not zero: a fault of the sound hardware, or of a program that handled the file."
    return ""
