"""Detection costs: by hand, against closed forms, and what they must refuse."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from deepfake_audio.errors import MetricError
from deepfake_audio.metrics import (
    ASVSPOOF5_ASV,
    AsvRates,
    MinCost,
    Tdcf2019Costs,
    TdcfCosts,
    act_dcf,
    asv_rates,
    bayes_threshold,
    decisions,
    eer,
    min_dcf,
    min_tdcf,
    min_tdcf_2019,
)

quick = settings(deadline=None, max_examples=40)
some_scores = st.lists(st.integers(-6, 6), min_size=1, max_size=20)

# C1 = 0.8 (1 - 1/4) - 0.1 * 10 * 0.1 = 1/2 and C2 = 10 * 0.1 * 1/2 = 1/2; C0 = 0.8 / 4 + 0.1 * 10 * 0.1 = 0.3.
ASV = AsvRates(threshold=None, false_alarm=0.1, miss=0.25, spoof_accepted=0.5)
PRIORS = {"p_target": 0.8, "p_nontarget": 0.1, "p_spoof": 0.1}


# --- speaker verification ---------------------------------------------------------------------------------------


def test_asv_rates_by_hand() -> None:
    """A score at the threshold is accepted."""
    found = asv_rates([1.0, 2.0, 3.0, 4.0], [0.0, 2.0], [1.0, 2.0, 3.0, 4.0, 5.0], threshold=2.0)
    assert found == AsvRates(threshold=2.0, false_alarm=1 / 2, miss=1 / 4, spoof_accepted=4 / 5)


def test_asv_operates_at_its_equal_error_rate() -> None:
    """Without a threshold it is that of targets against nontargets; spoofed trials have no say."""
    target, nontarget = [0.0, 2.0, 3.0, 4.0], [-1.0, 0.5, 1.0, 3.5]
    for spoof in ([1.0], [-9.0, 9.0, 9.0]):
        found = asv_rates(target, nontarget, spoof)
        assert found.threshold == eer(target, nontarget).threshold
        assert found == asv_rates(target, nontarget, spoof, threshold=found.threshold)


@pytest.mark.parametrize(
    ("scores", "match"),
    [
        pytest.param(([], [1.0], [1.0]), "there are no target trials", id="no targets"),
        pytest.param(([1.0], [], [1.0]), "there are no nontarget trials", id="no nontargets"),
        pytest.param(([1.0], [1.0], []), "there are no spoofed trials", id="no spoof"),
        pytest.param(([math.nan], [1.0], [1.0]), "target scores hold NaN", id="NaN"),
    ],
)
def test_asv_rates_that_do_not_exist(scores: tuple[list[float], list[float], list[float]], match: str) -> None:
    """What is missing is named."""
    with pytest.raises(MetricError, match=match):
        asv_rates(*scores)


# --- tandem detection cost --------------------------------------------------------------------------------------


def test_min_tdcf_2019_by_hand() -> None:
    """With C1 = C2 the cost is FRR + FAR: least, at 1/2, with only the lowest score rejected."""
    found = min_tdcf_2019([1.0, 2.0, 3.0, 4.0], [0.0, 3.5], ASV, Tdcf2019Costs(**PRIORS))
    assert found.value == pytest.approx(1 / 2)
    assert found.threshold == 0.0


def test_min_tdcf_by_hand() -> None:
    """What ASV costs alone is part of it: (0.3 + 0.5 (FRR + FAR)) / (0.3 + 0.5)."""
    found = min_tdcf([1.0, 2.0, 3.0, 4.0], [0.0, 3.5], ASV, TdcfCosts(**PRIORS))
    assert found.value == pytest.approx((0.3 + 0.25) / 0.8)
    assert found.threshold == 0.0


def test_costs_of_either_system_count() -> None:
    """Twice the costs of the countermeasure: C1 = 0.8 (2 - 1/4) - 0.1 = 1.3 and C2 = 1, of which the lower divides."""
    costs = Tdcf2019Costs(**PRIORS, c_miss_cm=2.0, c_fa_cm=20.0)
    # FRR 0, FAR 1/2 costs 1/2; FRR 1/4, FAR 0 costs 0.325.
    assert min_tdcf_2019([1.0, 3.0, 3.0, 3.0], [0.0, 2.0], ASV, costs).value == pytest.approx(0.325)
    # The first with c_miss_asv = 3 and c_fa_asv = 1: C1 = 0.8 (1 - 3/4) - 0.01 = 0.19; it divides, FRR 1/4 costs 1/4.
    costs = Tdcf2019Costs(**PRIORS, c_miss_asv=3.0, c_fa_asv=1.0)
    assert min_tdcf_2019([1.0, 3.0, 3.0, 3.0], [0.0, 2.0], ASV, costs).value == pytest.approx(0.25)
    # C0 = 0.8 * 2 / 4 + 0.1 * 5 * 0.1 = 0.45, C1 = 1.6 - 0.45 = 1.15, C2 = 0.1 * 20 / 2 = 1: (0.45 + 1.15 / 4) / 1.45.
    tandem = TdcfCosts(**PRIORS, c_miss=2.0, c_fa=5.0, c_fa_spoof=20.0)
    assert min_tdcf([1.0, 3.0, 3.0, 3.0], [0.0, 2.0], ASV, tandem).value == pytest.approx((0.45 + 1.15 / 4) / 1.45)


def test_perfect_countermeasure() -> None:
    """It costs nothing in the form of 2019; since then what the errors of ASV cost is left."""
    assert min_tdcf_2019([1.0], [0.0], ASV).value == 0.0
    assert min_tdcf([1.0], [0.0], ASV, TdcfCosts(**PRIORS)).value == pytest.approx(0.3 / 0.8)


@pytest.mark.parametrize("tdcf", [min_tdcf, min_tdcf_2019])
@pytest.mark.parametrize(
    "asv",
    [
        pytest.param(AsvRates(None, 0.1, 0.25, 0.0), id="no spoof gets through"),
        pytest.param(AsvRates(None, 0.1, 1.0, 0.5), id="all targets are rejected"),
        pytest.param(AsvRates(None, 0.0, 1.0, 0.5), id="all trials are rejected"),
        pytest.param(AsvRates(None, 0.1, math.nan, 0.5), id="NaN"),
    ],
)
def test_asv_that_is_not_worth_guarding(tdcf: Any, asv: AsvRates) -> None:
    """Where an error of the countermeasure costs nothing, there is nothing to divide by."""
    with pytest.raises(MetricError, match="guarding this ASV system saves nothing"):
        tdcf([1.0], [0.0], asv)


@pytest.mark.parametrize("costs", [TdcfCosts, Tdcf2019Costs])
def test_priors_and_costs_that_are_none(costs: Any) -> None:
    """Priors sum to 1, and nothing is negative or infinite."""
    with pytest.raises(MetricError, match="must sum to 1"):
        costs(p_target=0.9)
    with pytest.raises(MetricError, match="must not be negative"):
        costs(p_target=1.05, p_nontarget=-0.1)
    with pytest.raises(MetricError, match="must not be negative"):
        costs(p_target=math.nan)


def test_published_priors() -> None:
    """A spoof prior of 5 %, and of the rest 99 % targets."""
    for costs in (TdcfCosts(), Tdcf2019Costs()):
        assert costs.p_spoof == 0.05
        assert costs.p_target == pytest.approx(0.95 * 0.99)
        assert costs.p_nontarget == pytest.approx(0.95 * 0.01)


# --- detection cost ---------------------------------------------------------------------------------------------


def test_min_dcf_by_hand() -> None:
    """(0.95 FRR + 0.5 FAR) / 0.5, best with one bona fide trial of four rejected."""
    found = min_dcf([0.5, 2.0, 3.0, 4.0], [0.0, 1.0])
    assert found.value == pytest.approx(0.95 / 4 / 0.5)
    assert found.threshold == 1.0
    # Cheap false acceptances: (0.5 * 4 FRR + 0.5 FAR) / 0.5, best with the lowest score alone rejected.
    assert min_dcf([0.5, 2.0, 3.0, 4.0], [0.0, 1.0], p_spoof=0.5, c_miss=4.0, c_fa=1.0) == MinCost(0.5, 0.0)


def test_threshold_when_all_are_accepted() -> None:
    """Where accepting all is best, the threshold lies 0.001 below the lowest score, as the packages have it."""
    assert min_dcf([1.0], [2.0]) == MinCost(1.0, 0.999)


def test_act_dcf_by_hand() -> None:
    """At the threshold of ln(0.5 / 0.95): a score at it is accepted, one just below it is not."""
    threshold = bayes_threshold()
    assert threshold == pytest.approx(math.log(0.5 / 0.95))
    below = np.nextafter(threshold, -9)
    assert act_dcf([threshold, below, 1.0, 1.0], [threshold, below]) == pytest.approx((0.95 / 4 + 0.5 / 2) / 0.5)
    assert bayes_threshold(p_spoof=0.5, c_miss=1.0, c_fa=1.0) == 0.0


@pytest.mark.parametrize("distance", [1.0, 2.0, 3.0])
def test_costs_of_two_normals(distance: float) -> None:
    """The true log-likelihood ratios of two normals cost least at the Bayes threshold, and as much as the tails say."""
    quantiles = norm.ppf((np.arange(20_000) + 0.5) / 20_000)
    bonafide, spoof = distance * (quantiles + distance / 2), distance * (quantiles - distance / 2)
    at = math.log(0.5 / 0.95) / distance
    expected = (0.95 * norm.cdf(at - distance / 2) + 0.5 * norm.sf(at + distance / 2)) / 0.5
    assert act_dcf(bonafide, spoof) == pytest.approx(expected, abs=1e-3)
    assert min_dcf(bonafide, spoof).value == pytest.approx(expected, abs=1e-3)
    assert min_dcf(bonafide, spoof).threshold == pytest.approx(bayes_threshold(), abs=0.1)


@pytest.mark.parametrize("dcf", [min_dcf, act_dcf])
@pytest.mark.parametrize(
    ("keywords", "match"),
    [
        pytest.param({"p_spoof": 0.0}, "prior of spoof must lie between 0 and 1, not 0.0", id="no prior"),
        pytest.param({"p_spoof": 1.0}, "prior of spoof must lie between", id="only spoof"),
        pytest.param({"c_miss": 0.0}, "costs must be positive, not 0.0 and 10.0", id="no cost"),
        pytest.param({"c_fa": math.nan}, "costs must be positive", id="NaN"),
        pytest.param({"c_fa": math.inf}, "costs must be positive", id="infinity"),
    ],
)
def test_priors_and_costs_of_dcf(dcf: Any, keywords: dict[str, float], match: str) -> None:
    """A prior or cost that leaves nothing to weigh is an error."""
    with pytest.raises(MetricError, match=match):
        dcf([1.0], [0.0], **keywords)


# --- what holds for any scores ----------------------------------------------------------------------------------


@quick
@given(some_scores, some_scores)
def test_least_cost_is_that_of_the_best_decisions(bonafide: list[int], spoof: list[int]) -> None:
    """No threshold costs less, one costs as much, and deciding without looking is no better."""
    found = min_tdcf([*bonafide], [*spoof], ASV, TdcfCosts(**PRIORS)).value
    thresholds = [*bonafide, *spoof, math.inf]
    each = [decisions(bonafide, spoof, threshold) for threshold in thresholds]
    assert found == pytest.approx(min((0.3 + 0.5 * d.frr + 0.5 * d.far) / 0.8 for d in each))
    assert min_dcf(bonafide, spoof).value == pytest.approx(min((0.95 * d.frr + 0.5 * d.far) / 0.5 for d in each))
    assert found <= 1


@quick
@given(some_scores, some_scores)
def test_actual_cost_is_that_of_the_decisions_at_the_bayes_threshold(bonafide: list[int], spoof: list[int]) -> None:
    """And at least the minimum."""
    at = decisions(bonafide, spoof, bayes_threshold())
    assert act_dcf(bonafide, spoof) == pytest.approx((0.95 * at.frr + 0.5 * at.far) / 0.5)
    assert act_dcf(bonafide, spoof) >= min_dcf(bonafide, spoof).value - 1e-12


@quick
@given(some_scores, some_scores)
def test_threshold_is_the_highest_score_rejected(bonafide: list[int], spoof: list[int]) -> None:
    """Rejecting what lies at the threshold or below it gives the least cost."""
    for found, c0, c1, c2 in (
        (min_dcf(bonafide, spoof), 0.0, 0.95, 0.5),
        (min_tdcf_2019(bonafide, spoof, ASV, Tdcf2019Costs(**PRIORS)), 0.0, 0.5, 0.5),
        (min_tdcf(bonafide, spoof, ASV, TdcfCosts(**PRIORS)), 0.3, 0.5, 0.5),
    ):
        at = decisions(bonafide, spoof, np.nextafter(found.threshold, math.inf))
        assert found.value == pytest.approx((c0 + c1 * at.frr + c2 * at.far) / (c0 + min(c1, c2)))


def test_rates_of_asvspoof5() -> None:
    """With the built-in rates C0 is 0.0195, C1 0.9210, C2 0.2304: FRR costs as much as C1 / (C0 + C2) says."""
    c0 = 0.9405 * ASVSPOOF5_ASV.miss + 0.0095 * 10 * ASVSPOOF5_ASV.false_alarm
    assert c0 == pytest.approx(0.0195, abs=5e-5)
    one_of_ten = min_tdcf([0.0] + [2.0] * 9, [1.0], ASVSPOOF5_ASV).value
    assert one_of_ten == pytest.approx((c0 + (0.9405 - c0) / 10) / (c0 + 0.5 * ASVSPOOF5_ASV.spoof_accepted))
