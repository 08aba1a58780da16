"""
How well scores tell genuine from spoofed speech.

Conventions: scores are higher for bona fide speech, in every function; no function flips a sign or takes the better of
two answers. A trial is accepted as bona fide when ``score >= threshold``. Rates are fractions in [0, 1].

- ``eer``          equal error rate by the rule of the ASVspoof evaluation packages (2019, 2021 and 5 agree)
- ``decisions``    accuracy, balanced accuracy, precision, recall and F1 at a threshold (scikit-learn)
- ``roc_auc``      area under the ROC curve (scikit-learn)
- ``cllr``         cost of log-likelihood ratios in bits (Bruemmer and du Preez 2006, equation 20)
- ``calibration_error``  expected calibration error of probabilities (Guo et al. 2017, equation 3)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from deepfake_audio.errors import MetricError

if TYPE_CHECKING:
    from collections.abc import Sequence

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class EqualErrorRate:
    """The rate at which misses and false alarms are equal, and the score at which that is so."""

    rate: float
    threshold: float


@dataclass(frozen=True)
class ClassFigures:
    """What hard decisions give where one of the two classes is the positive one."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class Decisions:
    """
    What hard decisions at one threshold give.

    Attributes:
        threshold: A trial is accepted as bona fide from this score on.
        accuracy: Share of all trials decided rightly.
        balanced_accuracy: Mean of that share of either class.
        frr: False rejection rate, the share of bona fide trials rejected: genuine speech called deepfake.
        far: False acceptance rate, the share of spoofed trials accepted: deepfakes called genuine.
        spoof: Where spoof is the positive class.
        bonafide: Where bona fide is the positive class.
        n_bonafide_accepted: The confusion matrix, in counts.
        n_bonafide_rejected: As above.
        n_spoof_accepted: As above.
        n_spoof_rejected: As above.
    """

    threshold: float
    accuracy: float
    balanced_accuracy: float
    frr: float
    far: float
    spoof: ClassFigures
    bonafide: ClassFigures
    n_bonafide_accepted: int
    n_bonafide_rejected: int
    n_spoof_accepted: int
    n_spoof_rejected: int


def eer(bonafide: npt.ArrayLike, spoof: npt.ArrayLike) -> EqualErrorRate:
    """
    Return the equal error rate.

    The trials are sorted by score, bona fide first inside a tie. After each trial stand the share of bona fide at or
    below it (FRR) and of spoof above it (FAR). At the first minimum of their difference the rate is the mean of the
    two, and the threshold is that score. (The packages have one more point, before the first trial; its difference of
    1 is never the smallest.)

    Args:
        bonafide: Scores of bona fide trials, shape (n_bonafide,).
        spoof: Scores of spoofed trials, shape (n_spoof,).

    Raises:
        MetricError: If either is empty or holds NaN or infinity.

    Examples:
        >>> eer([2.0, 3.0], [0.0, 1.0]).rate
        0.0
    """
    b, s = _trials(bonafide, spoof)
    scores = np.concatenate([b, s])
    is_bonafide = np.repeat([1, 0], [len(b), len(s)])
    order = np.argsort(scores, kind="stable")
    frr = np.cumsum(is_bonafide[order]) / len(b)
    # Count first, then divide: `1 - n / m` is rounded otherwise, and then another minimum may come first.
    far = (len(s) - np.cumsum(1 - is_bonafide[order])) / len(s)
    at = int(np.argmin(np.abs(frr - far)))
    return EqualErrorRate(float((frr[at] + far[at]) / 2), float(scores[order][at]))


def decisions(bonafide: npt.ArrayLike, spoof: npt.ArrayLike, threshold: float) -> Decisions:
    """
    Return what decisions at a fixed threshold give.

    A precision that no trial decides (nothing was called that class) is 0.

    Raises:
        MetricError: If either is empty or holds NaN or infinity.
    """
    from sklearn.metrics import accuracy_score, balanced_accuracy_score, precision_recall_fscore_support

    b, s = _trials(bonafide, spoof)
    truth = np.repeat([0, 1], [len(b), len(s)])
    called = (np.concatenate([b, s]) < threshold).astype(int)
    figures = precision_recall_fscore_support(truth, called, labels=[0, 1], zero_division=0.0)[:3]
    bonafide_figures, spoof_figures = (ClassFigures(*map(float, column)) for column in zip(*figures, strict=True))
    n_rejected, n_accepted = int((b < threshold).sum()), int((s >= threshold).sum())
    return Decisions(
        threshold=threshold,
        accuracy=float(accuracy_score(truth, called)),
        balanced_accuracy=float(balanced_accuracy_score(truth, called)),
        frr=n_rejected / len(b),
        far=n_accepted / len(s),
        spoof=spoof_figures,
        bonafide=bonafide_figures,
        n_bonafide_accepted=len(b) - n_rejected,
        n_bonafide_rejected=n_rejected,
        n_spoof_accepted=n_accepted,
        n_spoof_rejected=len(s) - n_accepted,
    )


def mean_eer(
    llr_genuine: npt.NDArray[np.float64], is_genuine: npt.NDArray[np.bool_], sources: Sequence[str]
) -> float | None:
    """
    Return the mean equal error rate of the sources that have both classes, or None where there are none.

    Args:
        llr_genuine: Scores, higher = more genuine, shape (n,).
        is_genuine: The truth, shape (n,).
        sources: Where each recording comes from.
    """
    names = np.array(sources)
    rates = []
    for name in np.unique(names):
        genuine, spoof = llr_genuine[(names == name) & is_genuine], llr_genuine[(names == name) & ~is_genuine]
        if len(genuine) and len(spoof):
            rates.append(eer(genuine, spoof).rate)
    return float(np.mean(rates)) if rates else None


def roc_auc(bonafide: npt.ArrayLike, spoof: npt.ArrayLike) -> float:
    """
    Return the area under the ROC curve: how often a bona fide trial outscores a spoofed one.

    Raises:
        MetricError: If either is empty or holds NaN or infinity.

    Examples:
        >>> roc_auc([2.0, 3.0], [0.0, 1.0])
        1.0
    """
    from sklearn.metrics import roc_auc_score

    b, s = _trials(bonafide, spoof)
    return float(roc_auc_score(np.repeat([1, 0], [len(b), len(s)]), np.concatenate([b, s])))


def cllr(bonafide: npt.ArrayLike, spoof: npt.ArrayLike) -> float:
    """
    Return the cost of the log-likelihood ratios in bits: 0 is perfect, 1 is what saying nothing costs.

    ``(mean(log2(1 + exp(-bonafide))) + mean(log2(1 + exp(spoof)))) / 2``, natural log-likelihood ratios.

    Raises:
        MetricError: If either is empty or holds NaN or infinity.

    Examples:
        >>> cllr([0.0], [0.0])
        1.0
    """
    b, s = _trials(bonafide, spoof)
    return float((np.logaddexp(0.0, -b).mean() + np.logaddexp(0.0, s).mean()) / 2 / np.log(2))


def calibration_error(p_spoof: npt.ArrayLike, is_spoof: npt.ArrayLike, *, n_bins: int = 10) -> float:
    """
    Return the expected calibration error, each class weighing one half.

    The probabilities fall into ``n_bins`` bins of equal width; the error is the mean distance, weighted by what is in
    a bin, between the mean probability and the share of spoof there. Classes weigh the same because the probabilities
    are made with a prior of one half.

    Args:
        p_spoof: Probabilities, shape (n,).
        is_spoof: The truth, shape (n,).
        n_bins: How many bins.

    Raises:
        MetricError: If a class is missing, a probability lies outside [0, 1], or the two differ in length.
    """
    p = np.asarray(p_spoof, dtype=np.float64)
    truth = np.asarray(is_spoof, dtype=bool)
    if p.shape != truth.shape:
        raise MetricError(f"{p.size} probabilities do not match {truth.size} trials")
    _trials(p[~truth], p[truth])
    if p.min() < 0 or p.max() > 1:
        raise MetricError("probabilities must lie between 0 and 1")
    weights = np.where(truth, 0.5 / truth.sum(), 0.5 / (~truth).sum())
    bins = np.minimum((p * n_bins).astype(int), n_bins - 1)
    gaps = np.bincount(bins, weights * (p - truth), minlength=n_bins)
    return float(np.abs(gaps).sum())


def _trials(bonafide: npt.ArrayLike, spoof: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    b, s = np.asarray(bonafide, dtype=np.float64).ravel(), np.asarray(spoof, dtype=np.float64).ravel()
    for name, scores in (("bona fide", b), ("spoofed", s)):
        if len(scores) == 0:
            raise MetricError(f"there are no {name} trials, so no error rate is defined")
        if not np.isfinite(scores).all():
            raise MetricError(f"{name} scores hold NaN or infinity")
    return b, s
