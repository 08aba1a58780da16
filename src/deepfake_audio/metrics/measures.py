"""
The figures that ``bootstrap`` can give an interval: each prepares itself once, and then costs little per draw.

A measure is called with the sorted ``Trials`` and returns a function of a ``Draw``; those that need more than scores
are made by a function, for example ``{"eer": measures.eer, "frr": measures.frr(0.5)}``. At one draw of each trial all
equal the function of the same name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepfake_audio.metrics import calibration, costs, ranking

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepfake_audio.metrics.trials import Draw, Figure, Measure, Names, Trials


def eer(_: Trials) -> Figure:
    """Equal error rate; see ``metrics.eer``."""
    return lambda draw: ranking.equal_error_rate(draw)[0]


def eer_hull(_: Trials) -> Figure:
    """Equal error rate on the convex hull; see ``metrics.eer_hull``."""
    return ranking.hull_rate


def macro_eer(sources: Names) -> Measure:
    """
    Return the mean over sources of the equal error rate; sources that lack a class in a draw do not count there.

    Args:
        sources: Where each trial comes from, in the order of the scores; shape (n,).
    """
    return lambda trials: ranking.rate_by_source(trials, sources)


def roc_auc(_: Trials) -> Figure:
    """Area under the ROC curve; see ``metrics.roc_auc``."""
    return ranking.area


def average_precision(positive: ranking.Positive = "spoof") -> Measure:
    """Return the average precision of a class; see ``metrics.average_precision``."""
    return lambda _: lambda draw: ranking.precision_mean(draw, positive)


def accuracy(threshold: float) -> Measure:
    """Return the share of trials decided rightly."""
    return _at(threshold, lambda draw, at: _n_right(draw, at) / (draw.n_bonafide + draw.n_spoof))


def balanced_accuracy(threshold: float) -> Measure:
    """Return the mean over both classes of the share decided rightly."""
    return _at(threshold, lambda draw, at: 1 - (draw.frr[at] + draw.far[at]) / 2)


def frr(threshold: float) -> Measure:
    """Return the share of bona fide trials rejected."""
    return _at(threshold, lambda draw, at: draw.frr[at])


def far(threshold: float) -> Measure:
    """Return the share of spoofed trials accepted."""
    return _at(threshold, lambda draw, at: draw.far[at])


def cllr(trials: Trials) -> Figure:
    """Cost of the log-likelihood ratios; see ``metrics.cllr``."""
    return calibration.llr_cost(trials)


def min_cllr(_: Trials) -> Figure:
    """Cost after the best recalibration; see ``metrics.min_cllr``."""
    return calibration.least_llr_cost


def calibration_error(n_bins: int = 10) -> Measure:
    """Return the expected calibration error of the probabilities that the scores mean at a prior of one half."""
    return lambda trials: calibration.calibration_gap(trials, n_bins)


def min_tdcf_2019(asv: costs.AsvRates, model: costs.Tdcf2019Costs = costs.PUBLISHED_2019) -> Measure:
    """Return the minimum t-DCF of ASVspoof 2019; see ``metrics.min_tdcf_2019``."""
    return _least(costs.tdcf_2019_weighing(asv, model))


def min_tdcf(asv: costs.AsvRates, model: costs.TdcfCosts = costs.PUBLISHED) -> Measure:
    """Return the minimum t-DCF of ASVspoof 2021 and 5; see ``metrics.min_tdcf``."""
    return _least(costs.tdcf_weighing(asv, model))


def min_dcf(*, p_spoof: float = 0.05, c_miss: float = 1.0, c_fa: float = 10.0) -> Measure:
    """Return the minimum detection cost; see ``metrics.min_dcf``."""
    return _least(costs.dcf_weighing(p_spoof, c_miss, c_fa))


def act_dcf(*, p_spoof: float = 0.05, c_miss: float = 1.0, c_fa: float = 10.0) -> Measure:
    """Return the detection cost at the Bayes threshold; see ``metrics.act_dcf``."""
    weighing = costs.dcf_weighing(p_spoof, c_miss, c_fa)
    threshold = costs.bayes_threshold(p_spoof=p_spoof, c_miss=c_miss, c_fa=c_fa)
    return _at(threshold, weighing.at)


def _at(threshold: float, rate: Callable[[Draw, int], float]) -> Measure:
    def prepare(trials: Trials) -> Figure:
        boundary = trials.first_accepted(threshold)
        return lambda draw: float(rate(draw, boundary))

    return prepare


def _least(weighing: costs.Weighing) -> Measure:
    return lambda _: lambda draw: weighing.least(draw)[0]


def _n_right(draw: Draw, at: int) -> int:
    return int(draw.n_bonafide - draw.bonafide_rejected[at] + draw.spoof_rejected[at])
