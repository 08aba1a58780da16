"""
Shortcuts: how well trivial facts about the files alone tell the classes of a data set apart, without any listening.

In ASVspoof 2019 the length of the leading silence alone has an equal error rate of 15 % (Mueller et al. 2021). A figure
measured on such data flatters every detector that hears the shortcut, so the data set is looked at by itself: each of
``UNITS`` alone, and all of them together.

The question here is two-sided: a property is telling whether it is the genuine or the spoofed recordings that have
more of it. So, unlike in ``metrics``, the better of the two directions is taken, and said. Of properties that are names
and not sizes (``NOMINAL``), the values are put in order of their share of genuine recordings; as that order comes from
the same data, it flatters where there are many values, and the limit of chance is drawn for the same procedure.
"""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from deepfake_audio.audio import Recording, open_recording
from deepfake_audio.errors import AudioError, DataError
from deepfake_audio.metrics import eer_hull, roc_auc
from deepfake_audio.parallel import ordered_map

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from deepfake_audio.datasets import Utterance

FloatArray = npt.NDArray[np.float32]
AnyArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

# Each property and its unit, in the order of a report.
UNITS = {
    "leading_silence": "s",
    "trailing_silence": "s",
    "duration": "s",
    "loudness": "dBFS",
    "peak": "dBFS",
    "noise_floor": "dBFS",
    "energy_99": "Hz",
    "bandwidth": "Hz",
    "digital_zeros": "share",
    "dc_offset": "dBFS",
    "bit_rate": "kbit/s",
    "sample_rate": "Hz",
    "channels": "",
    "format": "",
}
NOMINAL = ("sample_rate", "channels", "format")

# A property with a lower equal error rate than this tells the classes apart, if chance would not do the same.
TELLING_EER = 0.35
# How often a data set in which no property tells anything may be said to have one that does.
_FALSE_ALARMS = 0.05

_FRAME_SECONDS = 0.01
_FRAMES_PER_SPECTRUM = 4
_SILENCE = 0.01  # of the peak: 40 dB below it
_BAND = 1e-6  # of the strongest density: 60 dB below it
_FLOOR = 1e-12  # of full-scale power: digital silence is said to have -120 dBFS
_QUIET_PERCENT = 10

# So few files are measured before a second process has even started.
_FEW_FILES = 200

_N_DEALS = 2_000
_ROUNDING = 1e-9
_MOST_FOLDS = 5
# Values of a nominal property that are told apart; trees take 255 at most.
_MOST_VALUES = 200


@dataclass(frozen=True)
class Properties:
    """
    What can be told of a file without listening; the signal is the mean of the channels, full scale is +-1.

    Attributes:
        leading_silence: Seconds before the first frame of 10 ms in which a sample reaches a hundredth of the peak.
        trailing_silence: Seconds after the last such frame; of a file without any sound, both are its duration.
        duration: Seconds.
        loudness: Mean power in dBFS: a square wave of full scale has 0, digital silence -120.
        peak: Largest magnitude in dBFS, full scale being 0.
        noise_floor: Power in dBFS that a tenth of the frames stay below, each about its own mean.
        energy_99: Frequency in Hz below which 99 % of the energy above 40 Hz lies.
        bandwidth: Highest frequency in Hz with a power density less than 60 dB below the largest above 40 Hz.
        digital_zeros: Share of samples that are exactly 0.
        dc_offset: Power of the mean, in dBFS.
        bit_rate: Size of the file by duration, in kbit/s.
        sample_rate: In Hz.
        channels: How many.
        format: Suffix of the file's name, in lower case.
    """

    leading_silence: float
    trailing_silence: float
    duration: float
    loudness: float
    peak: float
    noise_floor: float
    energy_99: float
    bandwidth: float
    digital_zeros: float
    dc_offset: float
    bit_rate: float
    sample_rate: int
    channels: int
    format: str


@dataclass(frozen=True)
class Unreadable:
    """A file that could not be decoded; ``reason`` is one of ``errors.AUDIO_REASONS``."""

    path: str
    reason: str
    message: str


# --- one file --------------------------------------------------------------------------------------------------


def measure_all(paths: Iterable[str], *, jobs: int = 1) -> Iterator[Properties | Unreadable]:
    """
    Measure many files; one result for each, in their order.

    Args:
        paths: Files.
        jobs: How many processes; few files are measured in this one.
    """
    paths = list(paths)
    return ordered_map(measure, paths, jobs=jobs if len(paths) > _FEW_FILES else 1)


def measure(path: str) -> Properties | Unreadable:
    """Measure one file in one pass; memory grows by 1 kB with each second of it."""
    try:
        with open_recording(path) as recording:
            return _measured(recording, Path(path))
    except AudioError as error:
        return Unreadable(path, error.reason, str(error))


def _measured(recording: Recording, path: Path) -> Properties:
    rate = recording.sample_rate
    frame = round(_FRAME_SECONDS * rate)
    total = square = 0.0
    n_zeros = 0
    peaks, powers = [], []
    density = np.zeros(_FRAMES_PER_SPECTRUM * frame // 2 + 1)
    for piece in _pieces(recording.blocks(rate), _FRAMES_PER_SPECTRUM * frame):
        total += float(piece.sum(dtype=np.float64))
        square += float(np.square(piece, dtype=np.float64).sum())
        n_zeros += int((piece == 0).sum())
        peaks.append(_framed(np.abs(piece), frame).max(axis=1))
        whole = piece[: len(piece) // frame * frame]
        powers.append(whole.reshape(-1, frame).var(axis=1, dtype=np.float64))
        density += _density(piece, _FRAMES_PER_SPECTRUM * frame)
    n, peak, power = recording.frames_read, np.concatenate(peaks), np.concatenate(powers)
    (heard,) = np.nonzero(peak >= max(_SILENCE * peak.max(), np.finfo(np.float32).tiny))
    first, last = (heard[0], heard[-1] + 1) if len(heard) else (len(peak), 0)
    energy_99, bandwidth = _bands(density, rate)
    return Properties(
        leading_silence=min(first * frame, n) / rate,
        trailing_silence=max(0, n - int(last) * frame) / rate,
        duration=n / rate,
        loudness=_dbfs(square / n),
        peak=_dbfs(float(peak.max()) ** 2),
        noise_floor=_dbfs(float(np.percentile(power, _QUIET_PERCENT)) if len(power) else square / n),
        energy_99=energy_99,
        bandwidth=bandwidth,
        digital_zeros=n_zeros / n,
        dc_offset=_dbfs((total / n) ** 2),
        bit_rate=8 * path.stat().st_size / (n / rate) / 1_000,
        sample_rate=rate,
        channels=recording.channels,
        format=path.suffix.lower().removeprefix("."),
    )


def _pieces(blocks: Iterable[FloatArray], size: int) -> Iterator[FloatArray]:
    """Yield a signal in pieces of whole multiples of a size, but for the last one."""
    held = np.empty(0, dtype=np.float32)
    for block in blocks:
        held = np.concatenate([held, block])
        whole = len(held) // size * size
        if whole:
            yield held[:whole]
            held = held[whole:]
    if len(held):
        yield held


def _framed(signal: FloatArray, size: int) -> FloatArray:
    """Return rows of a size, the last one filled with zeros."""
    n_rows = -(-len(signal) // size)
    return np.pad(signal, (0, n_rows * size - len(signal))).reshape(n_rows, size)


def _density(signal: FloatArray, size: int) -> AnyArray:
    spectra = np.fft.rfft(_framed(signal, size) * np.hanning(size + 1)[:-1])
    return np.asarray(np.square(np.abs(spectra)).sum(axis=0))


def _bands(density: AnyArray, rate: int) -> tuple[float, float]:
    """Return below which frequency 99 % of the energy lies, and the highest within 60 dB; both 0 for silence."""
    hz = np.linspace(0.0, rate / 2, len(density))
    heard = np.where(hz > 40.0, density, 0.0)  # noqa: PLR2004 - below lie the mean and what leaks from it
    if not heard.max() > 0:
        return 0.0, 0.0
    energy = np.cumsum(heard)
    within = np.flatnonzero(heard >= _BAND * heard.max())
    return float(hz[np.searchsorted(energy, 0.99 * energy[-1])]), float(hz[within[-1]])


def _dbfs(power: float) -> float:
    return float(10 * np.log10(max(_FLOOR, power)))


# --- a data set ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shortcut:
    """
    How well one property alone tells the classes apart.

    Attributes:
        name: One of ``UNITS``.
        unit: Of the medians.
        bonafide: Median of the genuine recordings; of a property in ``NOMINAL``, the commonest value.
        spoof: Likewise of the spoofed ones.
        higher: Which class has more of it; None where neither has, and for a property in ``NOMINAL``.
        auc: Area under the ROC curve in that direction, 0.5 to 1: how often a recording of that class has more of it
            than one of the other class, ties counting one half.
        chance_auc: What the area of a property that tells nothing exceeds at this number of recordings in so few data
            sets that all properties together raise 5 % of false alarms.
        eer: Equal error rate in that direction, on the convex hull of the ROC curve, since many properties have ties.
        tells_apart: Whether it is a shortcut: an equal error rate below ``TELLING_EER``, and an area beyond chance.
    """

    name: str
    unit: str
    bonafide: float | str
    spoof: float | str
    higher: Literal["bonafide", "spoof"] | None
    auc: float
    chance_auc: float
    eer: float
    tells_apart: bool


@dataclass(frozen=True)
class Joint:
    """
    How far a classifier gets with all properties together, on folds that it was not trained on.

    Attributes:
        n_folds: How many.
        folds: What was kept on one side of each split: the ``group`` of an utterance (its source where it has none), or
            the single ``file`` where groups are too few or hold one class each.
        auc: Area under the ROC curve of its scores.
        chance_auc: What a classifier that tells nothing exceeds in 2.5 % of all cases.
        eer: Equal error rate of its scores, on the convex hull of the ROC curve.
        tells_apart: Whether there is a shortcut in these properties, by the same rule as for each alone.
    """

    n_folds: int
    folds: Literal["group", "file"]
    auc: float
    chance_auc: float
    eer: float
    tells_apart: bool


@dataclass(frozen=True)
class ShortcutCheck:
    """
    What trivial properties say about the classes of a data set.

    The limits of chance suppose that recordings are independent. Those of one source are alike, so a property may
    exceed them because sources differ; that is a shortcut too, for these data.

    Attributes:
        n_bonafide: Genuine recordings that were measured.
        n_spoof: Spoofed recordings that were measured.
        unreadable: Those that could not be read.
        shortcuts: One for each of ``UNITS``, in that order.
        joint: All together; None with fewer than two recordings of a class.
    """

    n_bonafide: int
    n_spoof: int
    unreadable: tuple[Unreadable, ...]
    shortcuts: tuple[Shortcut, ...]
    joint: Joint | None


def shortcut_check(utterances: Sequence[Utterance], measured: Iterable[Properties | Unreadable]) -> ShortcutCheck:
    """
    Put truth and properties together.

    Args:
        utterances: The labelled recordings.
        measured: What ``measure_all`` gives for each, in the same order.

    Raises:
        DataError: If, of what could be read, a class is missing.
    """
    known, properties, unreadable = [], [], []
    for utterance, found in zip(utterances, measured, strict=True):
        if isinstance(found, Unreadable):
            unreadable.append(found)
        else:
            known.append(utterance)
            properties.append(found)
    genuine = np.array([u.is_bonafide for u in known], dtype=bool)
    n_bonafide, n_spoof = int(genuine.sum()), int((~genuine).sum())
    if not n_bonafide or not n_spoof:
        what = "genuine" if not n_bonafide else "spoofed"
        first = f"; {len(unreadable)} could not be read, first: {unreadable[0].message}" if unreadable else ""
        raise DataError(f"there are no {what} recordings, so there is nothing to tell apart{first}")
    return ShortcutCheck(
        n_bonafide=n_bonafide,
        n_spoof=n_spoof,
        unreadable=tuple(unreadable),
        shortcuts=tuple(_shortcut(name, properties, genuine) for name in UNITS),
        joint=_joint(properties, genuine, [u.group or u.source or str(u.path) for u in known]),
    )


def _shortcut(name: str, properties: Sequence[Properties], genuine: BoolArray) -> Shortcut:
    values = [getattr(p, name) for p in properties]
    return (_named if name in NOMINAL else _sized)(name, values, genuine)


def _sized(name: str, values: list[float], genuine: BoolArray) -> Shortcut:
    size = np.array(values)
    auc = roc_auc(size[genuine], size[~genuine])
    sign = 1.0 if auc >= 1 / 2 else -1.0
    return Shortcut(
        name=name,
        unit=UNITS[name],
        bonafide=float(np.median(size[genuine])),
        spoof=float(np.median(size[~genuine])),
        higher=None if auc == 1 / 2 else "bonafide" if sign > 0 else "spoof",
        **_judged(sign * size, genuine, _chance(genuine, _FALSE_ALARMS / len(UNITS))),
    )


def _judged(scores: AnyArray, genuine: BoolArray, chance_auc: float) -> dict[str, Any]:
    """Return the figures of scores, higher for genuine recordings, and what they come to."""
    auc, rate = roc_auc(scores[genuine], scores[~genuine]), eer_hull(scores[genuine], scores[~genuine])
    return {
        "auc": auc,
        "chance_auc": chance_auc,
        "eer": rate,
        "tells_apart": rate < TELLING_EER and auc > chance_auc + _ROUNDING,
    }


def _chance(genuine: BoolArray, false_alarms: float) -> float:
    """
    Return what ``max(auc, 1 - auc)`` of scores that tell nothing exceeds in this share of all cases.

    Without ties the area then has the variance ``(n + 1) / (12 n_bonafide n_spoof)``, that of the U statistic of Mann
    and Whitney (1947), as which the formula of Hanley and McNeil (1982) comes out at an area of one half; ties lower
    it. The distribution is taken as normal.
    """
    n, n_bonafide = len(genuine), int(genuine.sum())
    deviation = np.sqrt((n + 1) / (12 * n_bonafide * (n - n_bonafide)))
    return float(min(1.0, 0.5 + NormalDist().inv_cdf(1 - false_alarms / 2) * deviation))


def _named(name: str, values: list[float | str], genuine: BoolArray) -> Shortcut:
    code = _codes(values)
    counts = np.bincount(code)
    n_bonafide = np.bincount(code[genuine], minlength=len(counts))
    # The labels dealt anew at random, so that each value has as many recordings as it has.
    dealt = np.random.default_rng(0).multivariate_hypergeometric(
        counts, int(genuine.sum()), size=_N_DEALS, method="marginals"
    )
    chance = float(np.quantile(_auc_by_share(dealt, counts), 1 - _FALSE_ALARMS / len(UNITS)))
    return Shortcut(
        name=name,
        unit=UNITS[name],
        bonafide=_commonest(values, genuine),
        spoof=_commonest(values, ~genuine),
        higher=None,
        **_judged((n_bonafide / counts)[code], genuine, chance),
    )


def _codes(values: list[float | str]) -> IntArray:
    """Return the rank of each value among the commonest ones; all rarer ones share the last."""
    rank = {value: place for place, (value, _) in enumerate(Counter(values).most_common())}
    return np.array([min(rank[value], _MOST_VALUES) for value in values])


def _commonest(values: list[float | str], chosen: BoolArray) -> float | str:
    ((value, _),) = Counter(itertools.compress(values, chosen)).most_common(1)
    return value


def _auc_by_share(n_bonafide: IntArray, counts: IntArray) -> AnyArray:
    """
    Return the area under the ROC curve when values are put in order of their share of genuine recordings.

    Args:
        n_bonafide: Genuine recordings of each value, shape (..., n_values).
        counts: All recordings of each value, shape (n_values,).
    """
    order = np.argsort(n_bonafide / counts, axis=-1)
    b = np.take_along_axis(n_bonafide, order, axis=-1).astype(np.float64)
    s = np.take_along_axis(counts - n_bonafide, order, axis=-1).astype(np.float64)
    won = b * (np.cumsum(s, axis=-1) - s / 2)  # over the spoofed ones of lower values, and half of those of the same
    return np.asarray(won.sum(axis=-1) / (b.sum(axis=-1) * s.sum(axis=-1)))


# --- all together ----------------------------------------------------------------------------------------------


def _joint(properties: Sequence[Properties], genuine: BoolArray, groups: list[str]) -> Joint | None:
    """Cross-validate shallow boosted trees: they see steps and combinations that no single ranking shows."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    n_folds = min(_MOST_FOLDS, int(genuine.sum()), int((~genuine).sum()))
    if n_folds < 2:  # noqa: PLR2004 - one fold is none
        return None
    columns = {name: [getattr(p, name) for p in properties] for name in UNITS}
    table = np.column_stack([_codes(values) if name in NOMINAL else values for name, values in columns.items()])
    kept, folds = _folds(genuine, groups, n_folds)
    scores = np.empty(len(genuine))
    for train, test in folds:
        trees = HistGradientBoostingClassifier(
            max_iter=100,
            max_depth=3,
            min_samples_leaf=5,
            categorical_features=[name in NOMINAL for name in UNITS],
            class_weight="balanced",
            early_stopping=False,
            random_state=0,
        )
        trees.fit(table[train], genuine[train])
        scores[test] = trees.predict_proba(table[test])[:, 1]
    return Joint(n_folds=len(folds), folds=kept, **_judged(scores, genuine, _chance(genuine, _FALSE_ALARMS)))


def _folds(
    genuine: BoolArray, groups: list[str], n_folds: int
) -> tuple[Literal["group", "file"], list[tuple[IntArray, IntArray]]]:
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    if len(set(groups)) >= n_folds:
        folds = list(StratifiedGroupKFold(n_folds, shuffle=True, random_state=0).split(genuine, genuine, groups))
        if all(len(test) and 0 < genuine[train].sum() < len(train) for train, test in folds):
            return "group", folds
    return "file", list(StratifiedKFold(n_folds, shuffle=True, random_state=0).split(genuine, genuine))
