"""
What changes to the sound do to the verdicts: the same recordings, each through every one of ``CONDITIONS``.

A condition is one change of a fixed strength that a recording may meet on its way: a codec, a telephone line, noise, a
room. Each starts anew from the recording as the detector hears it, mono and at the model's sample rate, so that a
strength means the same whatever the file was. Nothing passes through files. Of each recording the first
``MAX_SECONDS`` are read, once; what comes later is left out under every condition, "clean" included.

Only noise and made rooms are random. Every condition meets a generator in the same state, which depends on the seed and
the bytes of the file alone: so 30, 20 and 10 dB are the same noise at three levels, and neither the order of the files
nor the number of processes matters.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
import numpy.typing as npt

from deepfake_audio.audio import open_recording, recording_of
from deepfake_audio.augment.channel import coded, telephoned
from deepfake_audio.augment.dsp import band, convolved, fitted, peak, resampled, with_noise
from deepfake_audio.augment.pace import stretched
from deepfake_audio.augment.surroundings import diffuse_tail, excerpt, reverberate
from deepfake_audio.detector import Detector, Skipped, Verdict
from deepfake_audio.errors import AudioError, DataError
from deepfake_audio.metrics import eer
from deepfake_audio.parallel import ordered_map

FloatArray = npt.NDArray[np.float32]
Change = Callable[[FloatArray, int, np.random.Generator], FloatArray]

MAX_SECONDS = 60.0

# Codecs are fed at this rate whatever that of the model, since their bit rates mean something else at another.
_CODEC_RATE = 16_000
_SNRS_DB = (30, 20, 10)


@dataclass(frozen=True)
class Condition:
    """
    A change to a signal, at a fixed strength.

    Attributes:
        title: What is done, for people.
        change: ``(signal, sample_rate, rng) -> signal`` at the same rate; the length may be another.
        sample_rate: The rate in Hz of the file that the detector is then given; None is the model's own.
    """

    title: str
    change: Change
    sample_rate: int | None = None


# --- the changes -----------------------------------------------------------------------------------------------


def _unchanged(signal: FloatArray, _sample_rate: int, _rng: np.random.Generator) -> FloatArray:
    return signal


def _band(
    signal: FloatArray, sample_rate: int, _rng: np.random.Generator, *, low_hz: float, high_hz: float
) -> FloatArray:
    return band(signal, sample_rate, low_hz, high_hz, low_slope_hz=100.0, high_slope_hz=200.0)


def _telephoned(signal: FloatArray, sample_rate: int, _rng: np.random.Generator, *, law: str) -> FloatArray:
    return telephoned(signal, sample_rate, law)


def _coded(
    signal: FloatArray,
    sample_rate: int,
    _rng: np.random.Generator,
    *,
    codec: str,
    level: float,
    bitrate_mode: str | None = None,
) -> FloatArray:
    return coded(signal, sample_rate, codec, level, bitrate_mode=bitrate_mode, codec_rate=_CODEC_RATE)


def _with_white_noise(signal: FloatArray, _sample_rate: int, rng: np.random.Generator, *, snr_db: float) -> FloatArray:
    return with_noise(signal, rng.standard_normal(len(signal)), snr_db)


def _with_recorded_noise(
    signal: FloatArray, _sample_rate: int, rng: np.random.Generator, *, snr_db: float, noises: tuple[FloatArray, ...]
) -> FloatArray:
    return with_noise(signal, excerpt(noises, len(signal), rng), snr_db)


def _in_made_room(signal: FloatArray, sample_rate: int, rng: np.random.Generator, *, t60_seconds: float) -> FloatArray:
    return (signal + convolved(signal, diffuse_tail(sample_rate, t60_seconds, rng))).astype(np.float32)


def _scaled(signal: FloatArray, _sample_rate: int, _rng: np.random.Generator, *, gain_db: float) -> FloatArray:
    return signal * np.float32(10 ** (gain_db / 20))


def _clipped(signal: FloatArray, _sample_rate: int, _rng: np.random.Generator, *, share: float) -> FloatArray:
    ceiling = np.quantile(np.abs(signal), 1 - share)
    return np.clip(signal, -ceiling, ceiling)


def _padded(signal: FloatArray, sample_rate: int, _rng: np.random.Generator, *, seconds: float) -> FloatArray:
    return np.pad(signal, round(seconds * sample_rate))


def _trimmed(signal: FloatArray, _sample_rate: int, _rng: np.random.Generator, *, below_db: float) -> FloatArray:
    (heard,) = np.nonzero(np.abs(signal) >= peak(signal) * 10 ** (-below_db / 20))
    return signal[heard[0] : heard[-1] + 1] if len(heard) else signal


def _stretched(signal: FloatArray, sample_rate: int, _rng: np.random.Generator, *, tempo: float) -> FloatArray:
    return stretched(signal, sample_rate, tempo)


# --- the table -------------------------------------------------------------------------------------------------


def conditions(noises: tuple[FloatArray, ...] = (), rooms: tuple[FloatArray, ...] = ()) -> dict[str, Condition]:
    """
    Return the conditions by name, in the order of a report; the first is what the others are compared with.

    Signal-to-noise ratios are those of the powers over the whole recording, pauses included.

    Args:
        noises: Recordings of noise at the model's sample rate, as ``augment.read_recordings`` gives them; without any
            there are no conditions with recorded noise.
        rooms: Recorded impulse responses of rooms, likewise.
    """
    some = functools.partial
    table = {
        "clean": Condition("as it is", _unchanged),
        "telephone-band": Condition("300 to 3400 Hz", some(_band, low_hz=300.0, high_hz=3_400.0)),
        "g711-mu-law": Condition("telephone: 300 to 3400 Hz, G.711 mu-law", some(_telephoned, law="mu-law")),
        "g711-a-law": Condition("telephone: 300 to 3400 Hz, G.711 A-law", some(_telephoned, law="a-law")),
    }
    # Levels of libsndfile: for MP3 the share of the way from 160 to 8 kbit/s, for Opus from 256 to 6. Files of five
    # minutes of real speech had 128.0, 64.0 and 32.0 kbit/s, 23.6 and 12.3 kbit/s, and 37 kbit/s.
    for kbit_s in (128, 64, 32):
        change = some(_coded, codec="mp3", level=(160 - kbit_s) / 152, bitrate_mode="CONSTANT")
        table[f"mp3-{kbit_s}"] = Condition(f"MP3, {kbit_s} kbit/s", change)
    for kbit_s in (24, 12):
        change = some(_coded, codec="opus", level=(256 - kbit_s) / 250)
        table[f"opus-{kbit_s}"] = Condition(f"Opus, about {kbit_s} kbit/s", change)
    table["vorbis"] = Condition("Vorbis, about 37 kbit/s", some(_coded, codec="vorbis", level=0.7))
    for name, rate in (("8-khz", 8_000), ("22-khz", 22_050), ("44-khz", 44_100)):
        table[name] = Condition(f"resampled to {rate / 1000:g} kHz", _unchanged, sample_rate=rate)
    for snr_db in _SNRS_DB:
        change = some(_with_white_noise, snr_db=snr_db)
        table[f"white-noise-{snr_db}-db"] = Condition(f"white noise at {snr_db} dB", change)
    for snr_db in _SNRS_DB if noises else ():
        change = some(_with_recorded_noise, snr_db=snr_db, noises=noises)
        table[f"recorded-noise-{snr_db}-db"] = Condition(f"recorded noise at {snr_db} dB", change)
    table["room"] = Condition("a made room of 0.6 s, as loud as the direct sound", some(_in_made_room, t60_seconds=0.6))
    if rooms:
        table["recorded-room"] = Condition("a recorded room", some(reverberate, rooms=rooms))
    return table | {
        "20-db-louder": Condition("20 dB louder, without clipping", some(_scaled, gain_db=20.0)),
        "20-db-softer": Condition("20 dB softer", some(_scaled, gain_db=-20.0)),
        "clipped": Condition("the loudest 5 % of the samples clipped", some(_clipped, share=0.05)),
        "silence-added": Condition("1 s of digital silence before and after", some(_padded, seconds=1.0)),
        "silence-removed": Condition("ends 40 dB below the peak cut off", some(_trimmed, below_db=40.0)),
        "slower": Condition("tempo 0.9", some(_stretched, tempo=0.9)),
        "faster": Condition("tempo 1.1", some(_stretched, tempo=1.1)),
        "low-pass": Condition("nothing above 4 kHz", some(_band, low_hz=0.0, high_hz=4_000.0)),
        "high-pass": Condition("nothing below 300 Hz", some(_band, low_hz=300.0, high_hz=np.inf)),
    }


CONDITIONS = conditions()


# --- scores under each -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """
    What a detector said of one recording under one condition.

    Attributes:
        condition: Its name.
        llr_genuine: Natural log-likelihood ratio, higher = more genuine; None without speech.
        verdict: As in a ``Detection``.
    """

    condition: str
    llr_genuine: float | None
    verdict: Verdict


def run_stress(
    paths: Iterable[str],
    detector: Detector,
    conditions: Mapping[str, Condition] = CONDITIONS,
    *,
    jobs: int = 1,
    seed: int = 0,
) -> Iterator[tuple[Outcome, ...] | Skipped]:
    """
    Score recordings under every condition; one result for each, in their order, whatever ``jobs`` is.

    Args:
        paths: Files.
        detector: What to score with; each process gets its own copy.
        conditions: Name -> condition; the first is what ``stress_table`` compares the others with.
        jobs: How many processes.
        seed: Of noise and made rooms.

    Yields:
        One outcome per condition, in their order; or why a recording could not be read.
    """
    stress, paths = _Stress(detector, dict(conditions), seed), list(paths)
    if jobs == 1 or len(paths) <= 1:
        return map(stress.outcomes, paths)
    return ordered_map(_outcomes, paths, jobs=min(jobs, len(paths)), initializer=_take, initargs=(stress,))


_taken: list[_Stress] = []  # what a worker process does


def _take(stress: _Stress) -> None:
    _taken[:] = [stress]


def _outcomes(path: str) -> tuple[Outcome, ...] | Skipped:
    return _taken[0].outcomes(path)


@dataclass(frozen=True)
class _Stress:
    detector: Detector
    conditions: dict[str, Condition]
    seed: int

    def outcomes(self, path: str) -> tuple[Outcome, ...] | Skipped:
        try:
            signal, sha256 = self._read(path)
            state = [self.seed, int(sha256[:16], 16)]
            return tuple(self._outcome(name, signal, np.random.default_rng(state)) for name in self.conditions)
        except AudioError as error:
            return Skipped(path, error.reason, str(error), self.detector.model)

    def _read(self, path: str) -> tuple[FloatArray, str]:
        rate = self.detector.metadata.sample_rate
        wanted = round(MAX_SECONDS * rate)
        blocks: list[FloatArray] = []
        with open_recording(path) as recording:
            for block in recording.blocks(rate):
                blocks.append(block)
                if sum(map(len, blocks)) >= wanted:
                    break
        # A recording can be too short for even one sample at a lower rate.
        signal = np.concatenate([*blocks, np.empty(0, np.float32)])
        return fitted(signal, min(wanted, max(1, len(signal)))), recording.sha256

    def _outcome(self, name: str, signal: FloatArray, rng: np.random.Generator) -> Outcome:
        condition, rate = self.conditions[name], self.detector.metadata.sample_rate
        changed = condition.change(signal, rate, rng)
        heard_at = condition.sample_rate or rate
        found = self.detector.score_recording(recording_of(resampled(changed, rate, heard_at), heard_at, name))
        return Outcome(name, found.llr_genuine, found.verdict)


# --- and what they come to -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class StressRow:
    """
    How a detector does under one condition, and what the condition changed.

    Rates are over the recordings with speech under this condition, and None where a class has none; changes are
    against the first condition. The threshold is the same throughout.

    Attributes:
        condition: Its name.
        n_bonafide: Genuine recordings with speech.
        n_spoof: Spoofed recordings with speech.
        n_no_speech: Recordings in which no speech was found.
        eer: Equal error rate.
        frr: Share of the genuine called deepfake at the threshold.
        far: Share of the spoofed called genuine at the threshold.
        balanced_accuracy: At the threshold, ``1 - (frr + far) / 2``.
        eer_change: Equal error rate minus that of the first condition.
        llr_change_median: Median of ``|llr - llr of the first condition|`` over the recordings with speech under both,
            in natural units; None without any.
        verdict_changed: Share of all recordings whose verdict is another one, ``inconclusive`` being one.
        verdict_reversed: Share of all recordings that were genuine and now are deepfake, or the other way round.
    """

    condition: str
    n_bonafide: int
    n_spoof: int
    n_no_speech: int
    eer: float | None
    frr: float | None
    far: float | None
    balanced_accuracy: float | None
    eer_change: float | None
    llr_change_median: float | None
    verdict_changed: float
    verdict_reversed: float


_VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
_TOLD = [_VERDICTS.index("genuine"), _VERDICTS.index("deepfake")]


def stress_table(
    is_bonafide: Sequence[bool], results: Iterable[tuple[Outcome, ...] | Skipped], threshold: float
) -> tuple[StressRow, ...]:
    """
    Put truth and outcomes together; one row for each condition, in their order.

    Args:
        is_bonafide: The truth of each recording.
        results: What ``run_stress`` gives for each, in the same order; read once, and only numbers are kept.
        threshold: The log-likelihood ratio below which the detector says ``deepfake``.

    Raises:
        DataError: If not one recording could be read, or a class has no speech under the first condition.
    """
    names: tuple[str, ...] = ()
    truth, llrs, verdicts = [], [], []
    for is_genuine, result in zip(is_bonafide, results, strict=True):
        if isinstance(result, Skipped):
            continue
        names = tuple(outcome.condition for outcome in result)
        truth.append(is_genuine)
        llrs.append(np.array([outcome.llr_genuine for outcome in result], dtype=np.float64))  # None becomes NaN
        verdicts.append(np.array([_VERDICTS.index(outcome.verdict) for outcome in result], dtype=np.int8))
    if not truth:
        raise DataError(f"none of the {len(is_bonafide)} recordings could be read, so there is nothing to stress")
    genuine = np.array(truth, dtype=bool)
    columns = [_Column(genuine, *column) for column in zip(np.array(llrs).T, np.array(verdicts).T, strict=True)]
    if columns[0].eer is None:
        raise DataError(f"one class has no recording with speech under {names[0]!r}, so no error rate is defined")
    return tuple(_row(name, column, columns[0], threshold) for name, column in zip(names, columns, strict=True))


@dataclass(frozen=True)
class _Column:
    """One condition: truth, log-likelihood ratios (NaN without speech) and numbers of verdicts, each of shape (n,)."""

    genuine: npt.NDArray[np.bool_]
    llr: npt.NDArray[np.float64]
    verdict: npt.NDArray[np.int8]

    @property
    def heard(self) -> npt.NDArray[np.bool_]:
        return ~np.isnan(self.llr)

    @property
    def bonafide(self) -> npt.NDArray[np.float64]:
        return self.llr[self.heard & self.genuine]

    @property
    def spoof(self) -> npt.NDArray[np.float64]:
        return self.llr[self.heard & ~self.genuine]

    @property
    def eer(self) -> float | None:
        return eer(self.bonafide, self.spoof).rate if len(self.bonafide) and len(self.spoof) else None


def _row(name: str, column: _Column, first: _Column, threshold: float) -> StressRow:
    bonafide, spoof, rate, rate_first = column.bonafide, column.spoof, column.eer, first.eer
    frr = float(np.mean(bonafide < threshold)) if len(bonafide) else None
    far = float(np.mean(spoof >= threshold)) if len(spoof) else None
    both = column.heard & first.heard
    changed = column.verdict != first.verdict
    told = np.isin(column.verdict, _TOLD) & np.isin(first.verdict, _TOLD)
    return StressRow(
        condition=name,
        n_bonafide=len(bonafide),
        n_spoof=len(spoof),
        n_no_speech=int((~column.heard).sum()),
        eer=rate,
        frr=frr,
        far=far,
        balanced_accuracy=None if frr is None or far is None else 1 - (frr + far) / 2,
        eer_change=None if rate is None or rate_first is None else rate - rate_first,
        llr_change_median=float(np.median(np.abs(column.llr - first.llr)[both])) if both.any() else None,
        verdict_changed=float(changed.mean()),
        verdict_reversed=float((changed & told).mean()),
    )
