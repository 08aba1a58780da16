"""
Evaluation: labelled trials and their scores -> an ``Evaluation``; models on the same trials -> a ``Comparison``.

Decisions are those at the model's own stored threshold; the equal error rate stands beside them because it assumes an
oracle that knows the best one. Recordings that could not be scored, or in which there was no speech, are counted, not
guessed. Intervals are the middle 95 % of figures of resampled data, whole sources (or speakers) at a time, since
recordings of one source are alike.
"""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from deepfake_audio import metrics
from deepfake_audio.detector import Detection, Skipped
from deepfake_audio.errors import DataError, MetricError
from deepfake_audio.metrics import (
    AsvRates,
    Decisions,
    EqualErrorRate,
    asv_rates,
    bootstrap,
    measured,
    measures,
    paired_bootstrap,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from deepfake_audio.datasets import Utterance
    from deepfake_audio.metrics.trials import Measure
    from deepfake_audio.scorefiles import AsvScores

FloatArray = npt.NDArray[np.float64]

# Of how many percent of the recordings, the most certain ones, it is told how many verdicts would be wrong.
COVERAGES = (100, 90, 80, 70, 60, 50)
# What an evaluation is broken down by unless it is told otherwise, where the data tell it.
BREAKDOWNS = ("system", "family", "source", "speaker", "language", "codec", "duration")
# What says how a spoofed recording was made: each is compared with all bona fide ones, as the ASVspoof challenges do.
_OF_SPOOF = frozenset({"system", "attack", "family", "vocoder", "attack_tag"})
_DURATIONS = (2, 5, 10, 30)
# With fewer groups an interval over groups says nothing, and single trials are resampled.
_LEAST_GROUPS = 8
# Fewer trials of a class are too few for an interval, and more parts than this get none: nobody reads them.
_LEAST_TRIALS, _MOST_PARTS_WITH_INTERVALS = 5, 100


@dataclass(frozen=True, eq=False)
class Trials:
    """
    Labelled recordings and what a model says of them.

    Attributes:
        utterances: Those that have a score.
        scores: Higher = more genuine, shape (n,).
        threshold: The score below which the model says ``deepfake``.
        verdicts: One per utterance; None where only scores are known.
        durations: In seconds, shape (n,); None where only scores are known.
        n_no_speech: Recordings in which no speech was found, and those that a score file has no score of; in no figure.
        skipped: Recordings that could not be read; in no figure.
    """

    utterances: tuple[Utterance, ...]
    scores: FloatArray
    threshold: float
    verdicts: tuple[str, ...] | None = None
    durations: FloatArray | None = None
    n_no_speech: int = 0
    skipped: tuple[Skipped, ...] = ()
    is_bonafide: npt.NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        """Keep the labels as an array."""
        object.__setattr__(self, "is_bonafide", np.array([u.is_bonafide for u in self.utterances], dtype=bool))

    @classmethod
    def of(cls, utterances: Sequence[Utterance], results: Iterable[Detection | Skipped], threshold: float) -> Trials:
        """
        Put truth and detections together.

        Args:
            utterances: The labelled recordings.
            results: What the detector said of each, in the same order.
            threshold: The log-likelihood ratio below which the detector says ``deepfake``.
        """
        scored: list[tuple[Utterance, Detection]] = []
        skipped = []
        for utterance, result in zip(utterances, results, strict=True):
            if isinstance(result, Skipped):
                skipped.append(result)
            elif result.llr_genuine is not None:
                scored.append((utterance, result))
        return cls(
            utterances=tuple(utterance for utterance, _ in scored),
            scores=np.array([detection.llr_genuine for _, detection in scored], dtype=np.float64),
            threshold=threshold,
            verdicts=tuple(detection.verdict for _, detection in scored),
            durations=np.array([detection.duration_seconds for _, detection in scored], dtype=np.float64),
            n_no_speech=len(utterances) - len(scored) - len(skipped),
            skipped=tuple(skipped),
        )

    @property
    def bonafide(self) -> FloatArray:
        """Scores of the bona fide trials."""
        return self.scores[self.is_bonafide]

    @property
    def spoof(self) -> FloatArray:
        """Scores of the spoofed trials."""
        return self.scores[~self.is_bonafide]

    def values(self, name: str) -> npt.NDArray[np.str_]:
        """Return what each utterance is by a name such as ``system``, ``language`` or ``duration``; empty = unknown."""
        if name == "duration":
            seconds = [math.nan] * len(self.scores) if self.durations is None else self.durations.tolist()
            return np.array([_duration_class(value) for value in seconds], dtype=str)
        return np.array([utterance.fact(name) for utterance in self.utterances], dtype=str)

    def only(self, chosen: npt.NDArray[Any]) -> Trials:
        """Return some of the trials, by a mask or by their places; what was left out before is not carried over."""
        places = np.arange(len(self.scores))[chosen].tolist()
        return Trials(
            utterances=tuple(self.utterances[place] for place in places),
            scores=self.scores[places],
            threshold=self.threshold,
            verdicts=None if self.verdicts is None else tuple(self.verdicts[place] for place in places),
            durations=None if self.durations is None else self.durations[places],
        )


def _duration_class(seconds: float) -> str:
    if math.isnan(seconds):
        return ""
    above = [limit for limit in _DURATIONS if seconds >= limit]
    if not above:
        return f"under {_DURATIONS[0]} s"
    following = _DURATIONS[len(above) :]
    return f"{above[-1]} to {following[0]} s" if following else f"{above[-1]} s and more"


@dataclass(frozen=True)
class Figure:
    """A figure with the ends of its 95 % interval; None where there is none."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Part:
    """
    The trials that have one value of what an evaluation is broken down by.

    Attributes:
        name: The value; empty where it is unknown.
        n_bonafide: Bona fide trials that it is judged with: its own, or all of them where it is a way of spoofing.
        n_spoof: Its spoofed trials.
        eer: Equal error rate; None where one class is missing.
        frr: Share of the genuine recordings called deepfake at the fixed threshold; None without any.
        far: Share of the deepfakes called genuine; None without any.
        min_tdcf: Minimum tandem detection cost (2021 form), with the ASV scores of this part; None without such.
        min_tdcf_2019: Likewise, in the form of 2019.
    """

    name: str
    n_bonafide: int
    n_spoof: int
    eer: Figure | None
    frr: float | None
    far: float | None
    min_tdcf: float | None = None
    min_tdcf_2019: float | None = None


@dataclass(frozen=True)
class Breakdown:
    """All parts by one name, and the mean of those equal error rates that there are."""

    name: str
    parts: tuple[Part, ...]
    mean_eer: float | None


@dataclass(frozen=True)
class Verdicts:
    """
    What a user is told.

    Attributes:
        counts: Verdict -> number of (bona fide, spoofed) recordings that get it.
        coverage: Share of the recordings whose verdict is not ``inconclusive``.
        error_rate: Of those verdicts, the share that is wrong; None where all are inconclusive.
    """

    counts: dict[str, tuple[int, int]]
    coverage: float
    error_rate: float | None


@dataclass(frozen=True)
class Covered:
    """
    What verdicts would be worth if only the recordings farthest from the threshold got one.

    Attributes:
        share: Of the scored recordings, in [0, 1].
        n: How many they are: the share, rounded up, and whatever is as far away as the last of them.
        error_rate: The share of these on the wrong side of the threshold.
        margin: How far from the threshold the nearest of them is, ``|score - threshold|``.
    """

    share: float
    n: int
    error_rate: float
    margin: float


@dataclass(frozen=True)
class Evaluation:
    """
    How well a model does on a data set.

    Attributes:
        n_bonafide: Scored genuine recordings.
        n_spoof: Scored spoofed recordings.
        n_no_speech: Recordings in which no speech was found; in no figure.
        skipped: Recordings that could not be read; in no figure.
        figures: Name -> figure over all recordings: ``eer``, ``eer_hull``, ``macro_eer`` (mean over sources that have
            both classes), ``roc_auc``, ``average_precision`` (of spoof), ``cllr``, ``min_cllr``, ``calibration_error``,
            ``min_dcf`` and ``act_dcf`` (ASVspoof 5), with ASV scores ``min_tdcf`` and ``min_tdcf_2019``, and at the
            fixed threshold ``accuracy``, ``balanced_accuracy``, ``frr`` and ``far``.
        at_threshold: Decisions at the model's own threshold.
        at_eer: Decisions at the threshold of the equal error rate, which nobody knows beforehand.
        verdicts: What a user is told; None where only scores are known.
        most_certain: Errors among the most certain recordings alone, for each of ``COVERAGES``.
        breakdowns: By source, system and so on.
        resampled_by: What was drawn for the intervals: ``source``, ``speaker`` or ``trial``; None without intervals.
    """

    n_bonafide: int
    n_spoof: int
    n_no_speech: int
    skipped: tuple[Skipped, ...]
    figures: dict[str, Figure]
    at_threshold: Decisions
    at_eer: Decisions
    verdicts: Verdicts | None
    most_certain: tuple[Covered, ...]
    breakdowns: tuple[Breakdown, ...]
    resampled_by: str | None

    def breakdown(self, name: str) -> Breakdown | None:
        """Return the parts by a name, or None where there are none."""
        return next((breakdown for breakdown in self.breakdowns if breakdown.name == name), None)


def evaluate(
    trials: Trials,
    *,
    by: Sequence[str] = BREAKDOWNS,
    asv: AsvScores | None = None,
    n_resamples: int = 0,
    seed: int = 0,
) -> Evaluation:
    """
    Say how well the scores tell the classes apart.

    Args:
        trials: What was scored.
        by: What to break it down by; names that the data do not tell, or of which all are alike, are left out.
        asv: Scores of a speaker verification system, for the tandem detection costs.
        n_resamples: How often to resample for intervals; 0 gives none.
        seed: Of the resampling.

    Raises:
        DataError: If, of what could be scored, a class is missing.
    """
    equal = _equal_error_rate(trials)
    rates = None if asv is None else asv_rates(asv.target, asv.nontarget, asv.spoof)
    names, grouped_by = _groups(trials.utterances)
    figures = _with_intervals(trials, _measures(trials, rates), names, n_resamples, seed)
    return Evaluation(
        n_bonafide=int(trials.is_bonafide.sum()),
        n_spoof=int((~trials.is_bonafide).sum()),
        n_no_speech=trials.n_no_speech,
        skipped=trials.skipped,
        figures=figures,
        at_threshold=metrics.decisions(trials.bonafide, trials.spoof, trials.threshold),
        at_eer=metrics.decisions(trials.bonafide, trials.spoof, _just_above(equal.threshold)),
        verdicts=_verdicts(trials),
        most_certain=_most_certain(trials),
        breakdowns=_breakdowns(trials, by, asv, n_resamples, seed),
        resampled_by=grouped_by if figures["eer"].low is not None else None,
    )


def _just_above(rejected: float) -> float:
    """Return the threshold that rejects a score and all below it."""
    return float(np.nextafter(rejected, np.inf))


def _equal_error_rate(trials: Trials) -> EqualErrorRate:
    try:
        return metrics.eer(trials.bonafide, trials.spoof)
    except MetricError as error:
        n = len(trials.utterances) + trials.n_no_speech + len(trials.skipped)
        left_out = f"; no speech in {trials.n_no_speech} of {n}" if trials.n_no_speech else ""
        if trials.skipped:
            first = trials.skipped[0].message
            left_out += f"; {len(trials.skipped)} of {n} could not be read, first: {first}"
        raise DataError(f"nothing to evaluate: {error}{left_out}") from error


def _groups(utterances: Sequence[Utterance]) -> tuple[list[str] | None, str]:
    """Return what is drawn as a whole when resampling, and what that is."""
    for name in ("source", "speaker"):
        values = [utterance.fact(name) for utterance in utterances]
        if len(set(values)) >= _LEAST_GROUPS and all(values):
            return values, name
    return None, "trial"


def _tandem(bonafide: FloatArray, spoof: FloatArray, asv: AsvRates | None) -> dict[str, float]:
    if asv is None:
        return {}
    return {
        "min_tdcf": metrics.min_tdcf(bonafide, spoof, asv).value,
        "min_tdcf_2019": metrics.min_tdcf_2019(bonafide, spoof, asv).value,
    }


def _measures(trials: Trials, asv: AsvRates | None) -> dict[str, Measure]:
    """Return what is measured, by the names that `Evaluation` gives."""
    found: dict[str, Measure] = {
        "eer": measures.eer,
        "eer_hull": measures.eer_hull,
        "roc_auc": measures.roc_auc,
        "average_precision": measures.average_precision(positive="spoof"),
        "cllr": measures.cllr,
        "min_cllr": measures.min_cllr,
        "calibration_error": measures.calibration_error(),
        "min_dcf": measures.min_dcf(),
        "act_dcf": measures.act_dcf(),
        "accuracy": measures.accuracy(trials.threshold),
        "balanced_accuracy": measures.balanced_accuracy(trials.threshold),
        "frr": measures.frr(trials.threshold),
        "far": measures.far(trials.threshold),
    }
    if asv is not None:
        found |= {"min_tdcf": measures.min_tdcf(asv), "min_tdcf_2019": measures.min_tdcf_2019(asv)}
    return found | _macro_measure(trials)


def _macro_measure(trials: Trials) -> dict[str, Measure]:
    """Return the mean over sources, where there are sources that have both classes."""
    sources = [utterance.source for utterance in trials.utterances]
    rate = metrics.mean_eer(trials.scores, trials.is_bonafide, sources) if any(sources) else None
    return {} if rate is None else {"macro_eer": measures.macro_eer(sources)}


def _with_intervals(
    trials: Trials, wanted: Mapping[str, Measure], groups: list[str] | None, n_resamples: int, seed: int
) -> dict[str, Figure]:
    """Measure; with a handful of trials, or where too few draws have both classes, there is no interval."""
    if min(len(trials.bonafide), len(trials.spoof)) < _LEAST_TRIALS:
        n_resamples = 0
    found = {name: Figure(value) for name, value in measured(trials.scores, trials.is_bonafide, wanted).items()}
    alone = {"macro_eer"} & wanted.keys()
    for names in (wanted.keys() - alone, alone) if n_resamples else ():
        chosen = {name: wanted[name] for name in wanted if name in names}
        with contextlib.suppress(MetricError):
            intervals = bootstrap(trials.scores, trials.is_bonafide, groups, chosen, n_resamples=n_resamples, seed=seed)
            found |= {name: Figure(found[name].value, each.low, each.high) for name, each in intervals.items()}
    return found


def _verdicts(trials: Trials) -> Verdicts | None:
    if trials.verdicts is None:
        return None
    counted = Counter(zip(trials.verdicts, trials.is_bonafide.tolist(), strict=True))
    names = ("genuine", "deepfake", "inconclusive")
    counts = {name: (counted[name, True], counted[name, False]) for name in names}
    n_told = sum(sum(counts[name]) for name in names[:2])
    n_wrong = counts["genuine"][1] + counts["deepfake"][0]
    return Verdicts(counts, n_told / len(trials.verdicts), n_wrong / n_told if n_told else None)


def _most_certain(trials: Trials) -> tuple[Covered, ...]:
    margins = np.abs(trials.scores - trials.threshold)
    wrong = trials.is_bonafide != (trials.scores >= trials.threshold)
    descending = np.sort(margins)[::-1]
    covered = []
    for percent in COVERAGES:
        wanted = -(-percent * len(margins) // 100)
        # Recordings that are equally certain stay together, so that their order does not matter.
        chosen = margins >= descending[wanted - 1]
        covered.append(
            Covered(percent / 100, int(chosen.sum()), float(wrong[chosen].mean()), float(descending[wanted - 1]))
        )
    return tuple(covered)


def _breakdowns(
    trials: Trials, by: Sequence[str], asv: AsvScores | None, n_resamples: int, seed: int
) -> tuple[Breakdown, ...]:
    found = []
    for name in dict.fromkeys(by):
        values = trials.values(name)
        among = values[~trials.is_bonafide] if name in _OF_SPOOF else values
        parts = np.unique(among)
        if (len(parts) == 1 and name not in _OF_SPOOF) or not any(parts):
            continue
        n_drawn = n_resamples if len(parts) <= _MOST_PARTS_WITH_INTERVALS else 0
        told = tuple(
            _part(value, trials.only(_members(trials, name, values, value)), _asv_of(asv, name, value), n_drawn, seed)
            for value in parts.tolist()
        )
        rates = [part.eer.value for part in told if part.eer is not None]
        found.append(Breakdown(name, told, float(np.mean(rates)) if rates else None))
    return tuple(found)


def _members(trials: Trials, name: str, values: npt.NDArray[np.str_], value: str) -> npt.NDArray[np.bool_]:
    if name in _OF_SPOOF:
        return trials.is_bonafide | np.equal(values, value)
    return np.equal(values, value)


def _asv_of(asv: AsvScores | None, name: str, value: str) -> AsvRates | None:
    """Return how speaker verification does on one attack or one codec; None where its scores do not tell."""
    if asv is None:
        return None
    if name == "system":
        spoof = asv.spoof[asv.spoof_systems == value]
        return asv_rates(asv.target, asv.nontarget, spoof) if len(spoof) else None
    if name == "codec" and (asv.codecs == value).any():
        asv = asv.where(codec=value)
        return asv_rates(asv.target, asv.nontarget, asv.spoof)
    return None


def _part(name: str, trials: Trials, asv: AsvRates | None, n_resamples: int, seed: int) -> Part:
    b, s = trials.bonafide, trials.spoof
    both = len(b) > 0 and len(s) > 0
    return Part(
        name=name,
        n_bonafide=len(b),
        n_spoof=len(s),
        eer=_eer_with_interval(trials, n_resamples, seed) if both else None,
        frr=float(np.mean(b < trials.threshold)) if len(b) else None,
        far=float(np.mean(s >= trials.threshold)) if len(s) else None,
        **(_tandem_if_any(b, s, asv) if both else {}),
    )


def _tandem_if_any(bonafide: FloatArray, spoof: FloatArray, asv: AsvRates | None) -> dict[str, float]:
    """Return the costs of a part, or nothing where speaker verification alone makes no error that could be saved."""
    with contextlib.suppress(MetricError):
        return _tandem(bonafide, spoof, asv)
    return {}


def _eer_with_interval(trials: Trials, n_resamples: int, seed: int) -> Figure:
    groups, _ = _groups(trials.utterances)
    return _with_intervals(trials, {"eer": measures.eer}, groups, n_resamples, seed)["eer"]


# --- several models on the same trials -------------------------------------------------------------------------

COMPARED = ("eer", "macro_eer", "balanced_accuracy", "frr", "far", "roc_auc", "cllr", "min_cllr", "calibration_error")


@dataclass(frozen=True)
class Compared:
    """
    One model beside the first one, on the trials that all have scored.

    Attributes:
        name: Of the model or score file.
        figures: Name -> value, for each of ``COMPARED`` that exists.
        differences: Name -> this model's figure minus the first one's, with the paired 95 % interval; empty for the
            first model itself. An interval without 0 is a difference that these data show.
    """

    name: str
    figures: dict[str, float]
    differences: dict[str, Figure]


@dataclass(frozen=True)
class Comparison:
    """Several models on the same trials."""

    n_bonafide: int
    n_spoof: int
    models: tuple[Compared, ...]


def compare(models: Mapping[str, Trials], *, n_resamples: int = 0, seed: int = 0) -> Comparison:
    """
    Put models side by side on the trials that all of them have scored.

    Args:
        models: Name -> trials of the same data set; the others are compared with the first.
        n_resamples: How often to resample for the intervals; 0 gives none.
        seed: Of the resampling.

    Raises:
        DataError: If there is no trial that all have scored, or a class is missing among them.
    """
    shared = _shared(models)
    first = next(iter(shared.values()))
    _equal_error_rate(first)
    groups, _ = _groups(first.utterances)
    told = []
    for name, trials in shared.items():
        figures = measured(trials.scores, trials.is_bonafide, _compared(trials))
        differences = {}
        if trials is not first:
            differences = _differences(first, trials, groups, n_resamples, seed)
        told.append(Compared(name, figures, differences))
    return Comparison(len(first.bonafide), len(first.spoof), tuple(told))


def _shared(models: Mapping[str, Trials]) -> dict[str, Trials]:
    places = [{utterance: place for place, utterance in enumerate(t.utterances)} for t in models.values()]
    common = [utterance for utterance in places[0] if all(utterance in place for place in places)]
    if not common:
        raise DataError(f"no recording was scored by all of {', '.join(models)}, so there is nothing to compare")
    return {
        name: trials.only(np.array([place[utterance] for utterance in common]))
        for (name, trials), place in zip(models.items(), places, strict=True)
    }


def _differences(
    first: Trials, other: Trials, groups: list[str] | None, n_resamples: int, seed: int
) -> dict[str, Figure]:
    before, after = _compared(first), _compared(other)
    if not n_resamples:
        values = [measured(each.scores, each.is_bonafide, _compared(each)) for each in (first, other)]
        return {name: Figure(values[1][name] - values[0][name]) for name in before}
    found = paired_bootstrap(
        first.scores, other.scores, first.is_bonafide, groups, before, after, n_resamples=n_resamples, seed=seed
    )
    return {name: Figure(found[name].value, found[name].low, found[name].high) for name in before}


def _compared(trials: Trials) -> dict[str, Measure]:
    wanted = _measures(trials, None)
    return {name: wanted[name] for name in COMPARED if name in wanted}
