"""
Evaluation: labelled recordings and what a detector said of them -> an ``Evaluation``.

Decisions are those at the model's own stored threshold; the equal error rate stands beside them because it assumes an
oracle that knows the best one. Recordings that could not be scored, or in which there was no speech, are counted, not
guessed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deepfake_audio.calibration import p_deepfake
from deepfake_audio.detector import Detection, Skipped
from deepfake_audio.errors import DataError, MetricError
from deepfake_audio.metrics import Decisions, EqualErrorRate, calibration_error, cllr, decisions, eer, roc_auc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from deepfake_audio.datasets import Utterance

# Of how many percent of the recordings, the most certain ones, it is told how many verdicts would be wrong.
COVERAGES = (100, 90, 80, 70, 60, 50)


@dataclass(frozen=True)
class Scored:
    """One utterance with its log-likelihood ratio."""

    utterance: Utterance
    detection: Detection
    llr: float


@dataclass(frozen=True)
class Part:
    """
    One source, or one system with all bona fide utterances.

    ``eer`` is None where one class is missing; ``frr`` is the share of genuine recordings called deepfake, ``far``
    that of deepfakes called genuine, at the fixed threshold, None without such recordings.
    """

    name: str
    n_bonafide: int
    n_spoof: int
    eer: float | None
    frr: float | None
    far: float | None


@dataclass(frozen=True)
class Covered:
    """
    What verdicts would be worth if only the recordings farthest from the threshold got one.

    Attributes:
        share: Of the scored recordings, in [0, 1].
        n: How many they are: the share, rounded up, and whatever is as far away as the last of them.
        error_rate: The share of these on the wrong side of the threshold.
        margin: How far from the threshold the nearest of them is, ``|llr - threshold|``.
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
        decisions: At the model's own threshold.
        eer: Equal error rate over all recordings, and its threshold.
        macro_eer: Mean equal error rate of the sources that have both classes; None where there are none.
        roc_auc: Area under the ROC curve.
        cllr: Cost of the log-likelihood ratios in bits.
        calibration_error: Expected calibration error of ``p_deepfake``.
        coverage: Share of the scored recordings whose verdict is not ``inconclusive``.
        accuracy_when_conclusive: Accuracy of those verdicts; None where all are inconclusive.
        most_certain: Errors among the most certain recordings alone, for each of ``COVERAGES``.
        sources: Per source, by name.
        systems: Per spoofing system, against all bona fide recordings.
    """

    n_bonafide: int
    n_spoof: int
    n_no_speech: int
    skipped: tuple[Skipped, ...]
    decisions: Decisions
    eer: EqualErrorRate
    macro_eer: float | None
    roc_auc: float
    cllr: float
    calibration_error: float
    coverage: float
    accuracy_when_conclusive: float | None
    most_certain: tuple[Covered, ...]
    sources: tuple[Part, ...]
    systems: tuple[Part, ...]


def evaluate(utterances: Sequence[Utterance], results: Iterable[Detection | Skipped], threshold: float) -> Evaluation:
    """
    Put truth and detections together.

    Args:
        utterances: The labelled recordings.
        results: What the detector said of each, in the same order.
        threshold: The log-likelihood ratio below which the detector says ``deepfake``.

    Raises:
        DataError: If, of what could be scored, a class is missing.
    """
    scored, skipped = [], []
    for utterance, result in zip(utterances, results, strict=True):
        if isinstance(result, Skipped):
            skipped.append(result)
        elif result.llr_genuine is not None:
            scored.append(Scored(utterance, result, result.llr_genuine))
    n_no_speech = len(utterances) - len(scored) - len(skipped)
    bonafide, spoof = _llrs(scored, bonafide=True), _llrs(scored, bonafide=False)
    try:
        equal = eer(bonafide, spoof)
    except MetricError as error:
        left_out = f"; no speech in {n_no_speech} of {len(utterances)}" if n_no_speech else ""
        if skipped:
            left_out += f"; {len(skipped)} of {len(utterances)} could not be read, first: {skipped[0].message}"
        raise DataError(f"nothing to evaluate: {error}{left_out}") from error
    conclusive = [s for s in scored if s.detection.verdict != "inconclusive"]
    right = [s.utterance.is_bonafide == (s.detection.verdict == "genuine") for s in conclusive]
    sources = _sources(scored, threshold)
    both = [part.eer for part in sources if part.eer is not None]
    return Evaluation(
        n_bonafide=len(bonafide),
        n_spoof=len(spoof),
        n_no_speech=n_no_speech,
        skipped=tuple(skipped),
        decisions=decisions(bonafide, spoof, threshold),
        eer=equal,
        macro_eer=float(np.mean(both)) if both else None,
        roc_auc=roc_auc(bonafide, spoof),
        cllr=cllr(bonafide, spoof),
        calibration_error=calibration_error(
            [p_deepfake(s.llr) for s in scored], [not s.utterance.is_bonafide for s in scored]
        ),
        coverage=len(conclusive) / len(scored),
        accuracy_when_conclusive=float(np.mean(right)) if right else None,
        most_certain=_most_certain(scored, threshold),
        sources=sources,
        systems=_systems(scored, threshold),
    )


def _llrs(scored: Iterable[Scored], *, bonafide: bool) -> list[float]:
    return [s.llr for s in scored if s.utterance.is_bonafide is bonafide]


def _most_certain(scored: Sequence[Scored], threshold: float) -> tuple[Covered, ...]:
    margins = np.abs(np.array([s.llr for s in scored]) - threshold)
    wrong = np.array([s.utterance.is_bonafide != (s.llr >= threshold) for s in scored])
    descending = np.sort(margins)[::-1]
    covered = []
    for percent in COVERAGES:
        wanted = -(-percent * len(scored) // 100)
        # Recordings that are equally certain stay together, so that their order does not matter.
        chosen = margins >= descending[wanted - 1]
        covered.append(
            Covered(percent / 100, int(chosen.sum()), float(wrong[chosen].mean()), float(descending[wanted - 1]))
        )
    return tuple(covered)


def _sources(scored: Iterable[Scored], threshold: float) -> tuple[Part, ...]:
    return tuple(
        _part(name, _llrs(members, bonafide=True), _llrs(members, bonafide=False), threshold)
        for name, members in _by(lambda u: u.source, scored)
    )


def _systems(scored: Sequence[Scored], threshold: float) -> tuple[Part, ...]:
    """Compare each system's utterances with all bona fide ones, as the ASVspoof challenges do."""
    bonafide = _llrs(scored, bonafide=True)
    spoofed = (s for s in scored if not s.utterance.is_bonafide)
    return tuple(
        _part(name, bonafide, _llrs(members, bonafide=False), threshold)
        for name, members in _by(lambda u: u.system, spoofed)
    )


def _by(key: Callable[[Utterance], str], scored: Iterable[Scored]) -> list[tuple[str, list[Scored]]]:
    members: dict[str, list[Scored]] = {}
    for s in scored:
        members.setdefault(key(s.utterance), []).append(s)
    return sorted(members.items())


def _part(name: str, bonafide: Sequence[float], spoof: Sequence[float], threshold: float) -> Part:
    return Part(
        name=name,
        n_bonafide=len(bonafide),
        n_spoof=len(spoof),
        eer=eer(bonafide, spoof).rate if bonafide and spoof else None,
        frr=float(np.mean(np.array(bonafide) < threshold)) if bonafide else None,
        far=float(np.mean(np.array(spoof) >= threshold)) if spoof else None,
    )
