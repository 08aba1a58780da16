"""Whether scores are log-likelihood ratios, and probabilities what they say: Cllr and the calibration error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from deepfake_audio.errors import MetricError
from deepfake_audio.metrics.trials import Trials, checked

if TYPE_CHECKING:
    import numpy.typing as npt

    from deepfake_audio.metrics.trials import Draw, Figure, FloatArray


def cllr(bonafide: npt.ArrayLike, spoof: npt.ArrayLike) -> float:
    """
    Return the cost of the log-likelihood ratios in bits: 0 is perfect, 1 is what saying nothing costs.

    ``(mean(log2(1 + exp(-bonafide))) + mean(log2(1 + exp(spoof)))) / 2``, natural log-likelihood ratios (Brummer and du
    Preez 2006, "Application-independent evaluation of speaker detection", equation 20). Finite for any scores.

    Raises:
        MetricError: If either is empty or holds NaN or infinity.

    Examples:
        >>> cllr([0.0], [0.0])
        1.0
    """
    trials = Trials.of_classes(bonafide, spoof)
    return llr_cost(trials)(trials.once)


def llr_cost(trials: Trials) -> Figure:
    """Return what gives the value of ``cllr``."""
    signs = np.where(trials.is_bonafide, -1.0, 1.0)
    bits = np.logaddexp(0.0, signs * trials.scores) / np.log(2)
    bonafide, spoof = bits * trials.is_bonafide, bits * ~trials.is_bonafide
    return lambda draw: float(draw.weights @ bonafide / draw.n_bonafide + draw.weights @ spoof / draw.n_spoof) / 2


def min_cllr(bonafide: npt.ArrayLike, spoof: npt.ArrayLike) -> float:
    """
    Return the Cllr that is left when the scores are recalibrated by the best rising function.

    That function, from the pool-adjacent-violators algorithm, says ``ln(b / s)`` for a block that holds the share b of
    the bona fide and s of the spoofed trials. So the cost is ``sum(b log2(1 + s / b) + s log2(1 + b / s)) / 2`` over
    the blocks, where a share of 0 costs nothing (Brummer and du Preez 2006).

    Raises:
        MetricError: If either is empty or holds NaN or infinity.

    Examples:
        >>> min_cllr([5.0], [4.0])
        0.0
    """
    return least_llr_cost(Trials.of_classes(bonafide, spoof).once)


def least_llr_cost(draw: Draw) -> float:
    """Return the value of ``min_cllr``."""
    frr, far = draw.hull
    b, s = np.diff(frr), -np.diff(far)
    return float((_bits(b, s) + _bits(s, b)).sum()) / 2


def _bits(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return ``a * log2(1 + b / a)``, whose limit at 0 is 0."""
    return a * np.log2(np.divide(a + b, a, out=np.ones_like(a), where=a > 0))


def calibration_error(p_spoof: npt.ArrayLike, is_spoof: npt.ArrayLike, *, n_bins: int = 10) -> float:
    """
    Return the expected calibration error, each class weighing one half.

    The probabilities fall into ``n_bins`` bins of equal width; the error is the mean distance, weighted by what is in
    a bin, between the mean probability and the share of spoof there (Guo et al. 2017, "On calibration of modern neural
    networks", equation 3). Classes weigh the same because the probabilities are made with a prior of one half.

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
    checked("bona fide", p[~truth])
    checked("spoofed", p[truth])
    if p.min() < 0 or p.max() > 1:
        raise MetricError("probabilities must lie between 0 and 1")
    weights = np.where(truth, 0.5 / truth.sum(), 0.5 / (~truth).sum())
    return _gap(_bins(p, n_bins), weights * (p - truth), n_bins)


def calibration_gap(trials: Trials, n_bins: int) -> Figure:
    """Return what gives ``calibration_error`` of the probabilities that the scores mean at a prior of one half."""
    smaller = np.exp(-np.abs(trials.scores))  # never overflows
    p = np.where(trials.scores < 0, 1.0, smaller) / (1 + smaller)
    bins, off = _bins(p, n_bins), p - ~trials.is_bonafide
    bonafide, spoof = off * trials.is_bonafide / 2, off * ~trials.is_bonafide / 2

    def figure(draw: Draw) -> float:
        return _gap(bins, draw.weights * (bonafide / draw.n_bonafide + spoof / draw.n_spoof), n_bins)

    return figure


def _bins(p: FloatArray, n_bins: int) -> npt.NDArray[np.int64]:
    return np.minimum((p * n_bins).astype(np.int64), n_bins - 1)


def _gap(bins: npt.NDArray[np.int64], off: FloatArray, n_bins: int) -> float:
    return float(np.abs(np.bincount(bins, off, minlength=n_bins)).sum())
