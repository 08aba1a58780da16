"""Figures of the ranking alone: equal error rates, curves and the areas under them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from deepfake_audio.errors import MetricError
from deepfake_audio.metrics.trials import Trials, checked

if TYPE_CHECKING:
    import numpy.typing as npt

    from deepfake_audio.metrics.trials import BoolArray, Draw, Figure, FloatArray, IntArray, Names

Positive = Literal["spoof", "bonafide"]


@dataclass(frozen=True)
class EqualErrorRate:
    """The rate at which misses and false alarms are equal, and the score at which that is so."""

    rate: float
    threshold: float


@dataclass(frozen=True, eq=False)
class Curve:
    """
    Both error rates at every threshold, from accept-all to reject-all, tied scores together.

    A DET curve has ``frr`` over ``far`` on normal-deviate axes, a ROC curve ``1 - frr`` over ``far``. ``decisions`` at
    ``threshold[i]`` gives ``frr[i]`` and ``far[i]``.

    Attributes:
        threshold: The distinct scores, ascending, then infinity, shape (n,).
        frr: Share of bona fide trials rejected, shape (n,).
        far: Share of spoofed trials accepted, shape (n,).
    """

    threshold: FloatArray
    frr: FloatArray
    far: FloatArray


@dataclass(frozen=True, eq=False)
class PrecisionRecallCurve:
    """
    Precision and recall of one class at every threshold, from the highest recall to none.

    Attributes:
        threshold: A trial is accepted as bona fide from this score on; infinity rejects all; shape (n,).
        precision: Shape (n,); the last, where nothing is called positive, is 1 by convention.
        recall: Shape (n,).
    """

    threshold: FloatArray
    precision: FloatArray
    recall: FloatArray


def eer(bonafide: npt.ArrayLike, spoof: npt.ArrayLike) -> EqualErrorRate:
    """
    Return the equal error rate by the rule of the ASVspoof packages.

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
    trials = Trials.of_classes(bonafide, spoof)
    rate, group = equal_error_rate(trials.once)
    return EqualErrorRate(rate, float(trials.group_scores[group]))


def equal_error_rate(draw: Draw) -> tuple[float, int]:
    """Return the rate of ``eer``, and the group of tied scores that holds its threshold."""
    n_b, n_s = draw.n_bonafide, draw.n_spoof
    difference = draw.bonafide_rejected * n_s - (n_s - draw.spoof_rejected) * n_b
    group = int(np.searchsorted(difference, 0)) - 1
    rate, before = _walk(
        draw.bonafide_rejected[group], draw.spoof_rejected[group], draw.bonafide[group], np.int64(n_b), np.int64(n_s)
    )
    return float(rate), group - int(before)


def _walk(
    b: IntArray | np.int64,
    s: IntArray | np.int64,
    group_b: IntArray | np.int64,
    n_b: IntArray | np.int64,
    n_s: IntArray | np.int64,
) -> tuple[FloatArray, BoolArray]:
    """
    Walk through the group of tied scores in which FRR reaches FAR, trial by trial, bona fide first.

    Their difference grows with every trial, so it is smallest just before or just after it stops being negative. A
    trial drawn w times is w trials.

    Args:
        b: Bona fide trials rejected before the group.
        s: Spoofed trials rejected before it.
        group_b: Bona fide trials in the group.
        n_b: All bona fide trials.
        n_s: All spoofed trials.

    Returns:
        The rate, and whether that is the one before the first trial of the group.
    """
    lacking = (n_s - s) * n_b - b * n_s  # FAR - FRR, as a multiple of 1 / (n_b * n_s)
    steps_b = np.minimum(_divided_up(lacking, n_s), group_b)
    steps_s = _divided_up(lacking - steps_b * n_s, n_b)
    steps_s = np.maximum(steps_s, 0)
    last_is_spoof = steps_s > 0
    b_after, s_after = b + steps_b, s + steps_s
    frr_after, far_after = b_after / n_b, (n_s - s_after) / n_s
    frr_before, far_before = (b_after - ~last_is_spoof) / n_b, (n_s - (s_after - last_is_spoof)) / n_s
    is_before = np.abs(frr_before - far_before) <= np.abs(frr_after - far_after)
    rate = np.where(is_before, frr_before + far_before, frr_after + far_after) / 2
    return rate, is_before & (steps_b + steps_s == 1)


def _divided_up(numerator: IntArray | np.int64, denominator: IntArray | np.int64) -> IntArray | np.int64:
    return -(-numerator // denominator)


def eer_hull(bonafide: npt.ArrayLike, spoof: npt.ArrayLike) -> float:
    """
    Return the equal error rate on the convex hull of the ROC curve: where it crosses FRR = FAR.

    Order inside ties does not matter to it, and it is never above one half (Brummer and de Villiers 2013, "The BOSARIS
    toolkit"; Provost and Fawcett 2001, "Robust classification for imprecise environments").

    Raises:
        MetricError: If either is empty or holds NaN or infinity.

    Examples:
        >>> eer_hull([0.0, 1.0], [0.0, 1.0])
        0.5
    """
    return hull_rate(Trials.of_classes(bonafide, spoof).once)


def hull_rate(draw: Draw) -> float:
    """Return the rate of ``eer_hull``."""
    frr, far = draw.hull
    after = int(np.argmax(frr >= far))
    before = after - 1
    lacking = far[before] - frr[before]
    share = lacking / (lacking + frr[after] - far[after])
    return float(frr[before] + share * (frr[after] - frr[before]))


def mean_eer(llr_genuine: npt.ArrayLike, is_genuine: npt.ArrayLike, sources: Names) -> float | None:
    """
    Return the mean equal error rate of the sources that have both classes, or None where there are none.

    Args:
        llr_genuine: Scores, higher = more genuine, shape (n,).
        is_genuine: The truth, shape (n,).
        sources: Where each recording comes from.

    Raises:
        MetricError: If a score is NaN or infinite, or the three differ in length.
    """
    truth = np.asarray(is_genuine, dtype=bool)
    if truth.all() or not truth.any():
        return None
    trials = Trials.of(llr_genuine, truth)
    rate = rate_by_source(trials, sources)(trials.once)
    return None if np.isnan(rate) else rate


def rate_by_source(trials: Trials, sources: Names) -> Figure:
    """
    Return what gives the mean over sources of ``eer``, NaN where no source has both classes.

    Args:
        trials: Any.
        sources: In the order in which the trials were given to ``Trials.of``.

    Raises:
        MetricError: If there are not as many sources as trials.
    """
    if len(sources) != len(trials.scores):
        raise MetricError(f"{len(sources)} sources do not match {len(trials.scores)} trials")
    source = np.unique(np.asarray(sources), return_inverse=True)[1][trials.order]
    order = np.argsort(source, kind="stable")  # scores still ascend within each source
    source, scores, is_bonafide = source[order], trials.scores[order], trials.is_bonafide[order]
    starts = np.flatnonzero(np.append(True, (source[1:] != source[:-1]) | (scores[1:] != scores[:-1])))
    of_group = source[starts]
    first = np.flatnonzero(np.append(True, of_group[1:] != of_group[:-1]))  # group of each source

    def rejected(counts: IntArray) -> IntArray:
        """Return how many trials of the same source come before each group."""
        before = np.cumsum(counts) - counts
        return np.asarray(before - before[first][of_group], dtype=np.int64)

    def figure(draw: Draw) -> float:
        weights = draw.weights[order]
        b = np.add.reduceat(weights * is_bonafide, starts)
        s = np.add.reduceat(weights, starts) - b
        n_b, n_s = np.add.reduceat(b, first), np.add.reduceat(s, first)
        both = (n_b > 0) & (n_s > 0)
        if not both.any():
            return float("nan")
        b_rejected, s_rejected = rejected(b), rejected(s)
        # FRR reaches FAR in the last group before which it is lower.
        lower = b_rejected * n_s[of_group] < (n_s[of_group] - s_rejected) * n_b[of_group]
        at = (first + np.add.reduceat(lower, first, dtype=np.int64) - 1)[both]
        rates, _ = _walk(b_rejected[at], s_rejected[at], b[at], n_b[both], n_s[both])
        return float(rates.mean())

    return figure


def det_curve(bonafide: npt.ArrayLike, spoof: npt.ArrayLike) -> Curve:
    """
    Return both error rates at every threshold.

    Raises:
        MetricError: If either is empty or holds NaN or infinity.

    Examples:
        >>> det_curve([1.0, 2.0], [0.0, 1.0]).frr
        array([0. , 0. , 0.5, 1. ])
    """
    trials = Trials.of_classes(bonafide, spoof)
    draw = trials.once
    return Curve(np.append(trials.group_scores, np.inf), draw.frr, draw.far)


def precision_recall_curve(
    bonafide: npt.ArrayLike, spoof: npt.ArrayLike, *, positive: Positive = "spoof"
) -> PrecisionRecallCurve:
    """
    Return precision and recall of a class at every threshold (scikit-learn).

    Raises:
        MetricError: If either is empty or holds NaN or infinity.
    """
    from sklearn import metrics

    truth, rising = _labelled(bonafide, spoof, positive)
    precision, recall, levels = metrics.precision_recall_curve(truth, rising)
    # Spoof is what lies below a threshold, scikit-learn's positives are at or above it: one step further down.
    threshold = np.append(levels, np.inf) if positive == "bonafide" else np.append(np.inf, -levels)
    return PrecisionRecallCurve(threshold, precision, recall)


def average_precision(bonafide: npt.ArrayLike, spoof: npt.ArrayLike, *, positive: Positive = "spoof") -> float:
    """
    Return the average precision of a class: precision at each score, weighted by the recall gained (scikit-learn).

    Raises:
        MetricError: If either is empty or holds NaN or infinity.

    Examples:
        >>> average_precision([2.0, 3.0], [0.0, 1.0])
        1.0
    """
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(*_labelled(bonafide, spoof, positive)))


def precision_mean(draw: Draw, positive: Positive) -> float:
    """Return the value of ``average_precision``."""
    if positive == "spoof":
        gained, true, false = draw.spoof, draw.spoof_rejected[1:], draw.bonafide_rejected[1:]
    else:
        gained = draw.bonafide
        true, false = draw.n_bonafide - draw.bonafide_rejected[:-1], draw.n_spoof - draw.spoof_rejected[:-1]
    # Where nothing is gained the precision does not matter, and may not exist.
    return float((gained * (true / np.maximum(true + false, 1))).sum() / gained.sum())


def roc_auc(bonafide: npt.ArrayLike, spoof: npt.ArrayLike) -> float:
    """
    Return the area under the ROC curve: how often a bona fide trial scores above a spoofed one, ties counting half.

    Raises:
        MetricError: If either is empty or holds NaN or infinity.

    Examples:
        >>> roc_auc([2.0, 3.0], [0.0, 1.0])
        1.0
    """
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(*_labelled(bonafide, spoof, "bonafide")))


def area(draw: Draw) -> float:
    """Return the value of ``roc_auc``, by counting pairs."""
    above = draw.n_bonafide - draw.bonafide_rejected[1:]
    pairs = int((draw.spoof * (2 * above + draw.bonafide)).sum())
    return pairs / (2 * draw.n_bonafide * draw.n_spoof)


def _labelled(bonafide: npt.ArrayLike, spoof: npt.ArrayLike, positive: Positive) -> tuple[IntArray, FloatArray]:
    """Return labels, 1 for the positive class, and scores that are higher for it, as scikit-learn wants them."""
    b, s = checked("bona fide", bonafide), checked("spoofed", spoof)
    scores = np.concatenate([b, s])
    if positive == "bonafide":
        return np.repeat([1, 0], [len(b), len(s)]), scores
    return np.repeat([0, 1], [len(b), len(s)]), -scores
