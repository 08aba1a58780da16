"""
Detection costs: what errors cost where a countermeasure works alone, and where it guards speaker verification (ASV).

All are linear in the two error rates of the countermeasure, and normalised: the better of accepting all trials and
rejecting all costs 1.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deepfake_audio.errors import MetricError
from deepfake_audio.metrics.ranking import eer
from deepfake_audio.metrics.trials import Trials, checked

if TYPE_CHECKING:
    import numpy.typing as npt

    from deepfake_audio.metrics.trials import Draw


@dataclass(frozen=True)
class MinCost:
    """
    The least cost that any threshold gives.

    Attributes:
        value: Normalised: 0 is perfect.
        threshold: As the ASVspoof packages give it: the highest score rejected, or the lowest one less 0.001.
    """

    value: float
    threshold: float


@dataclass(frozen=True)
class AsvRates:
    """
    Error rates of a speaker verification system at its threshold.

    Attributes:
        threshold: A trial is accepted from this score on; None where only the rates were published.
        false_alarm: Share of nontarget trials accepted.
        miss: Share of target trials rejected.
        spoof_accepted: Share of spoofed trials accepted.
    """

    threshold: float | None
    false_alarm: float
    miss: float
    spoof_accepted: float


# What the evaluation package of ASVspoof 5 takes where there are no ASV scores.
ASVSPOOF5_ASV = AsvRates(
    threshold=None, false_alarm=0.01881016557566423, miss=0.01880141010575793, spoof_accepted=0.4607082907604729
)


@dataclass(frozen=True)
class Tdcf2019Costs:
    """Priors and costs of the ASVspoof 2019 t-DCF, which has costs for either system."""

    p_target: float = 0.9405
    p_nontarget: float = 0.0095
    p_spoof: float = 0.05
    c_miss_asv: float = 1.0
    c_fa_asv: float = 10.0
    c_miss_cm: float = 1.0
    c_fa_cm: float = 10.0

    def __post_init__(self) -> None:
        """Refuse what are no priors or costs."""
        _check(self)


@dataclass(frozen=True)
class TdcfCosts:
    """Priors and costs of the t-DCF of ASVspoof 2021 and 5, where the two systems act as one."""

    p_target: float = 0.9405
    p_nontarget: float = 0.0095
    p_spoof: float = 0.05
    c_miss: float = 1.0
    c_fa: float = 10.0
    c_fa_spoof: float = 10.0

    def __post_init__(self) -> None:
        """Refuse what are no priors or costs."""
        _check(self)


def _check(costs: Tdcf2019Costs | TdcfCosts) -> None:
    values = dataclasses.asdict(costs)
    if not all(math.isfinite(value) and value >= 0 for value in values.values()):
        raise MetricError(f"priors and costs must not be negative: {values}")
    if not math.isclose(costs.p_target + costs.p_nontarget + costs.p_spoof, 1.0):
        raise MetricError(f"the priors of target, nontarget and spoof must sum to 1: {values}")


PUBLISHED_2019 = Tdcf2019Costs()
PUBLISHED = TdcfCosts()


@dataclass(frozen=True)
class Weighing:
    """The cost ``(c0 + c1 * FRR + c2 * FAR) / (c0 + min(c1, c2))``."""

    c0: float
    c1: float
    c2: float

    def at(self, draw: Draw, boundary: int) -> float:
        """Return the cost of the threshold at a boundary."""
        return float(self.c0 + self.c1 * draw.frr[boundary] + self.c2 * draw.far[boundary]) / self._of_default

    def least(self, draw: Draw) -> tuple[float, int]:
        """Return the least cost and the first boundary that gives it."""
        costs = self.c0 + self.c1 * draw.frr + self.c2 * draw.far
        boundary = int(np.argmin(costs))
        return float(costs[boundary]) / self._of_default, boundary

    @property
    def _of_default(self) -> float:
        return self.c0 + min(self.c1, self.c2)


def asv_rates(
    target: npt.ArrayLike, nontarget: npt.ArrayLike, spoof: npt.ArrayLike, threshold: float | None = None
) -> AsvRates:
    """
    Return the error rates of a speaker verification system.

    Args:
        target: Scores of target trials, shape (n_target,), higher = same speaker.
        nontarget: Scores of nontarget trials.
        spoof: Scores of spoofed trials.
        threshold: Where to operate; that of ``eer`` of target against nontarget if None, as ASVspoof does.

    Raises:
        MetricError: If one is empty or holds NaN or infinity.

    Examples:
        >>> asv_rates([2.0, 3.0], [0.0, 1.0], [1.0, 4.0], threshold=2.0)
        AsvRates(threshold=2.0, false_alarm=0.0, miss=0.0, spoof_accepted=0.5)
    """
    t, n, s = checked("target", target), checked("nontarget", nontarget), checked("spoofed", spoof)
    at = eer(t, n).threshold if threshold is None else threshold
    return AsvRates(at, float(np.mean(n >= at)), float(np.mean(t < at)), float(np.mean(s >= at)))


def min_tdcf_2019(
    bonafide: npt.ArrayLike, spoof: npt.ArrayLike, asv: AsvRates, costs: Tdcf2019Costs = PUBLISHED_2019
) -> MinCost:
    """
    Return the minimum normalised t-DCF of ASVspoof 2019, called legacy since.

    ``(C1 FRR + C2 FAR) / min(C1, C2)`` with ``C1 = p_target (c_miss_cm - c_miss_asv miss) - p_nontarget c_fa_asv
    false_alarm`` and ``C2 = c_fa_cm p_spoof spoof_accepted`` (Kinnunen et al. 2018, "t-DCF: a detection cost function
    for the tandem assessment of spoofing countermeasures and automatic speaker verification").

    Args:
        bonafide: Scores of bona fide trials, shape (n_bonafide,).
        spoof: Scores of spoofed trials, shape (n_spoof,).
        asv: The system that is guarded.
        costs: Priors and costs; the defaults are those of the challenge.

    Raises:
        MetricError: If either is empty or holds NaN or infinity, or if C1 or C2 is not positive.
    """
    return _least(bonafide, spoof, tdcf_2019_weighing(asv, costs))


def tdcf_2019_weighing(asv: AsvRates, costs: Tdcf2019Costs) -> Weighing:
    """Return the cost that ``min_tdcf_2019`` minimises."""
    c1 = costs.p_target * (costs.c_miss_cm - costs.c_miss_asv * asv.miss)
    c1 -= costs.p_nontarget * costs.c_fa_asv * asv.false_alarm
    c2 = costs.c_fa_cm * costs.p_spoof * asv.spoof_accepted
    return _tandem(0.0, c1, c2)


def min_tdcf(bonafide: npt.ArrayLike, spoof: npt.ArrayLike, asv: AsvRates, costs: TdcfCosts = PUBLISHED) -> MinCost:
    """
    Return the minimum normalised t-DCF of ASVspoof 2021 and 5, for a given ASV system ("ASV-constrained").

    ``(C0 + C1 FRR + C2 FAR) / (C0 + min(C1, C2))`` with ``C0 = p_target c_miss miss + p_nontarget c_fa false_alarm``,
    ``C1 = p_target c_miss - C0`` and ``C2 = p_spoof c_fa_spoof spoof_accepted`` (Kinnunen et al. 2020, "Tandem
    assessment of spoofing countermeasures and automatic speaker verification: fundamentals").

    Args:
        bonafide: Scores of bona fide trials, shape (n_bonafide,).
        spoof: Scores of spoofed trials, shape (n_spoof,).
        asv: The system that is guarded; ``ASVSPOOF5_ASV`` where there are no ASV scores.
        costs: Priors and costs; the defaults are those of the challenges.

    Raises:
        MetricError: If either is empty or holds NaN or infinity, or if C1 or C2 is not positive.
    """
    return _least(bonafide, spoof, tdcf_weighing(asv, costs))


def tdcf_weighing(asv: AsvRates, costs: TdcfCosts) -> Weighing:
    """Return the cost that ``min_tdcf`` minimises."""
    c0 = costs.p_target * costs.c_miss * asv.miss + costs.p_nontarget * costs.c_fa * asv.false_alarm
    c1 = costs.p_target * costs.c_miss - c0
    c2 = costs.p_spoof * costs.c_fa_spoof * asv.spoof_accepted
    return _tandem(c0, c1, c2)


def min_dcf(
    bonafide: npt.ArrayLike, spoof: npt.ArrayLike, *, p_spoof: float = 0.05, c_miss: float = 1.0, c_fa: float = 10.0
) -> MinCost:
    """
    Return the minimum normalised detection cost of a countermeasure alone, the main figure of ASVspoof 5, track 1.

    ``(c_miss (1 - p_spoof) FRR + c_fa p_spoof FAR) / min(c_miss (1 - p_spoof), c_fa p_spoof)``.

    Args:
        bonafide: Scores of bona fide trials, shape (n_bonafide,).
        spoof: Scores of spoofed trials, shape (n_spoof,).
        p_spoof: Prior of spoof.
        c_miss: What rejecting bona fide speech costs.
        c_fa: What accepting spoofed speech costs.

    Raises:
        MetricError: If either is empty or holds NaN or infinity, or if the prior or a cost is out of range.
    """
    return _least(bonafide, spoof, dcf_weighing(p_spoof, c_miss, c_fa))


def act_dcf(
    bonafide: npt.ArrayLike, spoof: npt.ArrayLike, *, p_spoof: float = 0.05, c_miss: float = 1.0, c_fa: float = 10.0
) -> float:
    """
    Return the cost of ``min_dcf`` at ``bayes_threshold``, as if the scores were log-likelihood ratios.

    Raises:
        MetricError: If either is empty or holds NaN or infinity, or if the prior or a cost is out of range.
    """
    trials = Trials.of_classes(bonafide, spoof)
    boundary = trials.first_accepted(bayes_threshold(p_spoof=p_spoof, c_miss=c_miss, c_fa=c_fa))
    return dcf_weighing(p_spoof, c_miss, c_fa).at(trials.once, boundary)


def bayes_threshold(*, p_spoof: float = 0.05, c_miss: float = 1.0, c_fa: float = 10.0) -> float:
    """
    Return from which log-likelihood ratio on accepting costs less than rejecting.

    Raises:
        MetricError: If the prior or a cost is out of range.

    Examples:
        >>> round(bayes_threshold(), 4)
        -0.6419
    """
    _check_dcf(p_spoof, c_miss, c_fa)
    return math.log(c_fa * p_spoof) - math.log(c_miss * (1 - p_spoof))


def dcf_weighing(p_spoof: float, c_miss: float, c_fa: float) -> Weighing:
    """Return the cost that ``min_dcf`` minimises."""
    _check_dcf(p_spoof, c_miss, c_fa)
    return Weighing(0.0, c_miss * (1 - p_spoof), c_fa * p_spoof)


def _check_dcf(p_spoof: float, c_miss: float, c_fa: float) -> None:
    if not 0 < p_spoof < 1:
        raise MetricError(f"the prior of spoof must lie between 0 and 1, not {p_spoof}")
    if not (0 < c_miss < math.inf and 0 < c_fa < math.inf):
        raise MetricError(f"costs must be positive, not {c_miss} and {c_fa}")


def _tandem(c0: float, c1: float, c2: float) -> Weighing:
    if not (c1 > 0 and c2 > 0):  # NaN is refused too
        raise MetricError(
            "no t-DCF: guarding this ASV system saves nothing, since what the errors of a countermeasure cost, "
            f"C1 = {c1:.4g} and C2 = {c2:.4g}, must be more than 0"
        )
    return Weighing(c0, c1, c2)


def _least(bonafide: npt.ArrayLike, spoof: npt.ArrayLike, weighing: Weighing) -> MinCost:
    trials = Trials.of_classes(bonafide, spoof)
    value, boundary = weighing.least(trials.once)
    return MinCost(value, trials.highest_rejected(boundary))
