"""From what was measured along a recording to one number per figure; None where there is too little to tell."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from deepfake_audio.analysis.changes import jolt_ratios, level_steps, spectral_changes
from deepfake_audio.analysis.figures import FIGURES
from deepfake_audio.analysis.samples import SampleFacts, band_limit_hz, bandwidth_hz
from deepfake_audio.analysis.tracks import BAND_EDGES_HZ, FRAMES_PER_SECOND, HOP, Tracks

if TYPE_CHECKING:
    from collections.abc import Iterable

AnyArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Values = dict[str, float | None]

# Less than this of speech, or of voiced speech, is no basis for figures of it.
_LEAST_SPEECH_SECONDS = 0.5
_LEAST_VOICED_SECONDS = 0.2
# Levels below this are digital silence and no noise; the rounding noise of 16 bits lies at -101 dBFS.
_SILENT_DB = -115.0
# Frames down to this far below the loud end of speech are active; in noise less far, three quarters of the way down.
_ACTIVE_DB, _LEAST_ACTIVE_DB, _ACTIVE_SHARE = 30.0, 12.0, 0.75
# Frames down to this far below the loudest within 0.4 s are loud enough to be compared with others: what is loud must
# not be judged by another part of the recording, which may be louder.
_LOUD_DB = 25.0
_LOUD_FRAMES = 40
# Nor are frames this far below the loud end of all speech worth comparing.
_FAINT_DB = 50.0
_LOUD_PERCENT, _NOISE_PERCENT = 95, 5
# Shorter gaps belong to a word, such as the closure of a p (de Jong and Bosker 2013).
_SHORTEST_PAUSE_SECONDS = 0.25
# The peak of a syllable is voiced and lies so far above the dips on either side (de Jong and Wempe 2009).
_SYLLABLE_DIP_DB = 2.0
_SMOOTHED_FRAMES = 3
_SEMITONES = 12
# A telephone passes these, so that the tilt does not depend on where the spectrum ends.
_TILT_HZ = (300.0, 3_400.0)


@dataclass(frozen=True)
class Speech:
    """
    Where in a recording there is speech.

    Attributes:
        active: Which frames lie in a stretch of speech and are not much softer than its loud parts, shape (n,).
        loud: Which frames of a stretch are not much softer than what surrounds them.
        pauses: First frame and length of each pause, between the first and the last active frame.
    """

    active: BoolArray
    loud: BoolArray
    pauses: tuple[tuple[int, int], ...]

    @property
    def seconds(self) -> float:
        """From the first to the last sound, without the pauses."""
        (places,) = np.nonzero(self.active)
        if not len(places):
            return 0.0
        return float(places[-1] + 1 - places[0] - sum(length for _, length in self.pauses)) / FRAMES_PER_SECOND

    @property
    def is_enough(self) -> bool:
        """Whether figures of speech can stand on it."""
        return bool(self.active.sum() >= _LEAST_SPEECH_SECONDS * FRAMES_PER_SECOND)


def find_speech(level_db: AnyArray, stretches: Iterable[tuple[int, int]]) -> Speech:
    """
    Say which frames are speech.

    Args:
        level_db: Of each frame.
        stretches: First sample and length of each stretch that `deepfake_audio.speech` found, at ``RATE``.
    """
    inside = np.zeros(len(level_db), dtype=np.bool_)
    for start, length in stretches:
        inside[start // HOP : -(-(start + length) // HOP)] = True
    if not inside.any():
        return Speech(inside, inside, ())
    top = float(np.percentile(level_db[inside], _LOUD_PERCENT))
    floor = _noise_floor(level_db)
    room = _ACTIVE_DB if floor is None else _ACTIVE_SHARE * (top - floor)
    active = inside & (level_db > top - min(max(room, _LEAST_ACTIVE_DB), _ACTIVE_DB))
    loud = inside & (level_db > np.maximum(_loudest_around(level_db) - _LOUD_DB, top - _FAINT_DB))
    return Speech(active, loud, tuple(_pauses(active)))


def _loudest_around(level_db: AnyArray) -> AnyArray:
    padded = np.pad(level_db, _LOUD_FRAMES, mode="edge")
    return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, 2 * _LOUD_FRAMES + 1).max(axis=1))


def _pauses(active: BoolArray) -> Iterable[tuple[int, int]]:
    (places,) = np.nonzero(active)
    gaps = np.diff(places) - 1
    for at in np.flatnonzero(gaps >= round(_SHORTEST_PAUSE_SECONDS * FRAMES_PER_SECOND)).tolist():
        yield int(places[at]) + 1, int(gaps[at])


@dataclass(frozen=True)
class Curves:
    """How strongly a recording changes at each boundary of frames, by the name of the figure; shape (n + 1,) each."""

    jolt_ratio: AnyArray
    level_step_db: AnyArray
    spectral_change_db: AnyArray


def measure_curves(tracks: Tracks, speech: Speech) -> Curves:
    """Return how strongly a recording changes, and where."""
    return Curves(
        jolt_ratios(tracks.jolts, tracks.peak),
        level_steps(tracks.level_db, speech.loud),
        spectral_changes(tracks.bands_db, speech.loud),
    )


def measure_figures(facts: SampleFacts, tracks: Tracks, speech: Speech, curves: Curves) -> Values:
    """Return the value of each figure, by name, in the order of ``FIGURES``."""
    values = {
        **_pitch_figures(tracks, speech),
        **_level_figures(facts, tracks, speech),
        **_pace_figures(tracks, speech),
        **_spectrum_figures(facts, tracks, speech),
        **_silence_figures(facts),
        **{name: float(curve.max()) if speech.is_enough else None for name, curve in vars(curves).items()},
    }
    return {name: values[name] for name in FIGURES}


def _pitch_figures(tracks: Tracks, speech: Speech) -> Values:
    heard = tracks.voiced & speech.active
    values: Values = dict.fromkeys(("pitch_median_hz", "pitch_range_semitones", "pitch_variation_percent"))
    values["voiced_percent"] = _percent(heard.sum(), speech.active.sum()) if speech.is_enough else None
    if heard.sum() < _LEAST_VOICED_SECONDS * FRAMES_PER_SECOND:
        return values
    pitch = tracks.pitch_hz[heard]
    values["pitch_median_hz"] = float(np.median(pitch))
    low, high = np.percentile(pitch, (5, 95))
    values["pitch_range_semitones"] = float(_SEMITONES * np.log2(high / low))
    follows = heard[1:] & heard[:-1] & tracks.holds[1:]
    before, after = tracks.pitch_hz[:-1][follows], tracks.pitch_hz[1:][follows]
    if len(before):
        values["pitch_variation_percent"] = float(200 * np.mean(np.abs(after - before) / (after + before)))
    return values


def _level_figures(facts: SampleFacts, tracks: Tracks, speech: Speech) -> Values:
    noise = _noise_floor(tracks.level_db)
    values: Values = {
        "loudness_dbfs": _decibels(facts.power),
        "peak_dbfs": _decibels(facts.peak**2),
        "noise_floor_dbfs": noise,
        **dict.fromkeys(("crest_db", "level_range_db", "speech_to_noise_db")),
    }
    if speech.is_enough:
        level = tracks.level_db[speech.active]
        mean = float(10 * np.log10(np.mean(10 ** (level / 10))))
        low, high = np.percentile(level, (5, 95))
        values["crest_db"] = 20 * math.log10(tracks.peak) - mean
        values["level_range_db"] = float(high - low)
        values["speech_to_noise_db"] = None if noise is None else mean - noise
    return values


def _noise_floor(level_db: AnyArray) -> float | None:
    sounding = level_db[level_db > _SILENT_DB]
    return float(np.percentile(sounding, _NOISE_PERCENT)) if len(sounding) else None


def _pace_figures(tracks: Tracks, speech: Speech) -> Values:
    if not speech.is_enough:
        return dict.fromkeys(("syllables_per_second", "pauses", "pause_mean_seconds", "pause_percent"))
    lengths = [length / FRAMES_PER_SECOND for _, length in speech.pauses]
    return {
        "syllables_per_second": _n_syllables(tracks, speech) / speech.seconds,
        "pauses": float(len(lengths)),
        "pause_mean_seconds": sum(lengths) / len(lengths) if lengths else None,
        "pause_percent": _percent(sum(lengths), speech.seconds + sum(lengths)),
    }


def _n_syllables(tracks: Tracks, speech: Speech) -> int:
    """Count the voiced peaks of the smoothed level that rise from a dip and fall into one."""
    softest = tracks.level_db[speech.active].min()
    half = _SMOOTHED_FRAMES // 2
    padded = np.pad(np.where(speech.active, tracks.level_db, softest), half, mode="edge")
    level = np.convolve(padded, np.full(_SMOOTHED_FRAMES, 1 / _SMOOTHED_FRAMES), mode="valid").tolist()
    heard = (np.convolve(tracks.voiced & speech.active, np.ones(_SMOOTHED_FRAMES), mode="same") > 0).tolist()
    count, rising, turn = 0, True, 0  # the frame of the last turn: the highest while rising, else the lowest
    for place, value in enumerate(level):
        if (value > level[turn]) == rising:
            turn = place
        elif abs(value - level[turn]) >= _SYLLABLE_DIP_DB:
            count += rising and heard[turn]
            rising, turn = not rising, place
    return count + (rising and heard[turn])


def _spectrum_figures(facts: SampleFacts, tracks: Tracks, speech: Speech) -> Values:
    return {
        "spectral_tilt_db_per_octave": _tilt(tracks.bands_db[speech.active]) if speech.is_enough else None,
        "bandwidth_hz": bandwidth_hz(facts.density, facts.sample_rate),
        "band_limit_hz": band_limit_hz(facts.density, facts.sample_rate),
    }


def _tilt(bands_db: AnyArray) -> float:
    """Return the slope of the mean power density over the octaves, by least squares."""
    centres = np.sqrt(BAND_EDGES_HZ[1:] * BAND_EDGES_HZ[:-1])
    kept = (centres >= _TILT_HZ[0]) & (centres <= _TILT_HZ[1])
    density_db = 10 * np.log10(np.mean(10 ** (bands_db[:, kept] / 10), axis=0))
    return float(np.polyfit(np.log2(centres[kept]), density_db, 1)[0])


def _silence_figures(facts: SampleFacts) -> Values:
    return {
        "digital_silence_percent": _percent(facts.silent.total, facts.n),
        "digital_silence_longest_seconds": facts.silent.longest / facts.sample_rate,
        "dc_offset_percent": 100 * facts.mean,
        "clipped_percent": _percent(facts.clipped.total, facts.n),
    }


def _percent(part: float, whole: float) -> float:
    return 100 * float(part) / float(whole) if whole else 0.0


def _decibels(power: float) -> float | None:
    return 10 * math.log10(power) if power > 0 else None
