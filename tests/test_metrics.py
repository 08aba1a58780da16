"""Equal error rate, decisions, AUC, Cllr, calibration: published rules, closed forms, what holds for any scores."""

from __future__ import annotations

import functools
import math
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from deepfake_audio.errors import MetricError
from deepfake_audio.metrics import (
    ASVSPOOF5_ASV,
    act_dcf,
    average_precision,
    calibration_error,
    cllr,
    decisions,
    det_curve,
    eer,
    eer_hull,
    mean_eer,
    min_cllr,
    min_dcf,
    min_tdcf,
    min_tdcf_2019,
    precision_recall_curve,
    roc_auc,
)

if TYPE_CHECKING:
    from collections.abc import Callable

Scores = npt.NDArray[np.float64]

quick = settings(deadline=None, max_examples=60)
# Whole numbers, so that ties are frequent and a strictly rising function keeps different scores apart.
some_scores = st.lists(st.integers(-20, 20), min_size=1, max_size=30)


def normals(distance: float, n: int = 20_000) -> tuple[Scores, Scores]:
    """Return the quantiles of two normal distributions of variance 1, so that nothing is left to chance."""
    quantiles = norm.ppf((np.arange(n) + 0.5) / n)
    return quantiles + distance / 2, quantiles - distance / 2


# --- the rule of the equal error rate ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bonafide", "spoof", "rate", "threshold"),
    [
        pytest.param([0.25] * 7, [0.25] * 13, 1.0, 0.25, id="all equal"),
        pytest.param([0.0] * 5 + [1.0] * 45, [0.0] * 80 + [1.0] * 20, 0.2, 1.0, id="binary decisions"),
        pytest.param(
            [0.0] * 2 + [1.0] * 4 + [2.0] * 4, [-1.0] * 3 + [1.0] * 5 + [2.0] * 2, 0.6, 1.0, id="ties across classes"
        ),
        pytest.param([1.0], [-1.0], 0.0, -1.0, id="one each, right"),
        pytest.param([-1.0], [1.0], 1.0, -1.0, id="one each, wrong"),
    ],
)
def test_eer_of_degenerate_scores(bonafide: list[float], spoof: list[float], rate: float, threshold: float) -> None:
    """Ties and single trials give what all four official packages give (their numbers, from ../shared/metrics)."""
    found = eer(bonafide, spoof)
    assert found.rate == pytest.approx(rate)
    assert found.threshold == threshold


def eer_by_counting(bonafide: list[int], spoof: list[int]) -> tuple[float, float]:
    """Return rate and threshold by the published rule, trial by trial."""
    trials = sorted([(score, 0) for score in bonafide] + [(score, 1) for score in spoof])
    n_rejected, n_accepted = 0, len(spoof)
    best = (1.0, 0.5, trials[0][0] - 0.001)
    for score, is_spoof in trials:
        n_rejected, n_accepted = n_rejected + (not is_spoof), n_accepted - is_spoof
        frr, far = n_rejected / len(bonafide), n_accepted / len(spoof)
        if abs(frr - far) < best[0]:
            best = (abs(frr - far), (frr + far) / 2, score)
    return best[1], best[2]


@quick
@given(some_scores, some_scores)
def test_eer_is_the_published_rule(bonafide: list[int], spoof: list[int]) -> None:
    """Counting trial by trial gives the same."""
    found = eer(bonafide, spoof)
    assert (found.rate, found.threshold) == pytest.approx(eer_by_counting(bonafide, spoof))


def test_eer_takes_the_first_of_two_minima() -> None:
    """FRR 1/2 against FAR 2/3 comes before 1/2 against 1/3, whichever way 1 - 1/3 is rounded."""
    found = eer([1.0, 3.0], [0.0, 2.0, 4.0])
    assert found.rate == pytest.approx(7 / 12)
    assert found.threshold == 1.0


# --- closed forms ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("distance", [0.0, 0.5, 1.0, 2.0, 4.0])
def test_two_normals(distance: float) -> None:
    """Two normals d apart have an EER of Phi(-d/2) midway, an AUC of Phi(d/sqrt 2), and errors of Phi(-d/2) at 0."""
    bonafide, spoof = normals(distance)
    found = eer(bonafide, spoof)
    assert found.rate == pytest.approx(norm.cdf(-distance / 2), abs=1e-4)
    assert found.threshold == pytest.approx(0.0, abs=1e-3)
    assert roc_auc(bonafide, spoof) == pytest.approx(norm.cdf(distance / math.sqrt(2)), abs=1e-4)
    fixed = decisions(bonafide, spoof, 0.0)
    assert fixed.frr == pytest.approx(norm.cdf(-distance / 2), abs=1e-4)
    assert fixed.far == pytest.approx(norm.cdf(-distance / 2), abs=1e-4)
    assert fixed.threshold == 0.0


@pytest.mark.parametrize("distance", [0.5, 1.0, 3.0])
def test_cllr_of_two_normals(distance: float) -> None:
    """The cost of the true log-likelihood ratios of two normals equals its integral."""
    bonafide, spoof = normals(distance)

    def cost(x: float) -> float:
        return float(norm.pdf(x, distance / 2) * np.logaddexp(0.0, -distance * x) / math.log(2))

    expected, _ = quad(cost, -10, 10)
    assert cllr(distance * bonafide, distance * spoof) == pytest.approx(expected, rel=1e-3)


def test_cllr_of_extreme_scores() -> None:
    """Cllr stays finite: a wrong log-likelihood ratio of x costs x / ln 2 bits, a right one nothing."""
    assert cllr([1e4], [-1e4]) == 0.0
    assert cllr([-1e4], [1e4]) == pytest.approx(1e4 / math.log(2))


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [
        # Bona fide at 0, 1, 2, 3; spoof at -2, 2.
        pytest.param(0.5, {"frr": 1 / 4, "far": 1 / 2, "accuracy": 4 / 6, "spoof.precision": 1 / 2}),
        pytest.param(2.0, {"frr": 1 / 2, "far": 1 / 2, "spoof.recall": 1 / 2, "spoof.f1": 2 / 5}),
        pytest.param(-9.0, {"frr": 0.0, "far": 1.0, "spoof.precision": 0.0, "spoof.recall": 0.0, "spoof.f1": 0.0}),
        pytest.param(-9.0, {"bonafide.precision": 4 / 6, "bonafide.recall": 1.0, "bonafide.f1": 4 / 5}),
        pytest.param(9.0, {"frr": 1.0, "far": 0.0, "spoof.precision": 2 / 6, "balanced_accuracy": 0.5}),
    ],
    ids=["between", "on a score", "all called genuine", "bona fide as positive", "all called spoof"],
)
def test_decisions_by_hand(threshold: float, expected: dict[str, float]) -> None:
    """A score at the threshold is genuine; each class is the positive one in turn."""
    found = decisions([0.0, 1.0, 2.0, 3.0], [-2.0, 2.0], threshold)
    assert {key: attrgetter(key)(found) for key in expected} == pytest.approx(expected)


# --- what holds for any scores ---------------------------------------------------------------------------------


@quick
@given(some_scores, some_scores, st.randoms())
def test_order_does_not_matter(bonafide: list[int], spoof: list[int], random: Any) -> None:
    """The order of the trials changes nothing."""
    b, s = (random.sample(scores, len(scores)) for scores in (bonafide, spoof))
    assert eer(b, s) == eer(bonafide, spoof)
    assert decisions(b, s, 1.0) == decisions(bonafide, spoof, 1.0)
    assert roc_auc(b, s) == roc_auc(bonafide, spoof)
    assert cllr(b, s) == pytest.approx(cllr(bonafide, spoof))


@quick
@given(
    some_scores,
    some_scores,
    st.sampled_from([np.exp, np.arctan, np.cbrt, lambda x: 3 * x + 7, lambda x: x**3, lambda x: 1e-3 * x - 1e3]),
)
def test_a_rising_function_changes_no_ranking(
    bonafide: list[int], spoof: list[int], function: Callable[[Any], Any]
) -> None:
    """EER and AUC depend on the ranking only, and the threshold moves with the scores."""
    before = eer(bonafide, spoof)
    after = eer(function(np.array(bonafide, float)), function(np.array(spoof, float)))
    assert after.rate == before.rate
    assert after.threshold == pytest.approx(float(function(np.float64(before.threshold))))
    assert roc_auc(function(np.array(bonafide, float)), function(np.array(spoof, float))) == roc_auc(bonafide, spoof)


@quick
@given(some_scores)
def test_the_same_scores_in_both_classes(scores: list[int]) -> None:
    """Scores that say nothing have an AUC of one half."""
    assert roc_auc(scores, scores) == pytest.approx(0.5)


@quick
@given(some_scores, some_scores)
def test_no_sign_is_flipped(bonafide: list[int], spoof: list[int]) -> None:
    """Negated scores are as bad as the scores were good: nothing takes the better of the two."""
    negated = [-score for score in bonafide], [-score for score in spoof]
    assert roc_auc(*negated) == pytest.approx(1 - roc_auc(bonafide, spoof))


@pytest.mark.parametrize("distance", [1.0, 3.0])
def test_negated_normals(distance: float) -> None:
    """Negated scores have an EER of one minus the rate, above one half, and a Cllr above one bit."""
    bonafide, spoof = normals(distance)
    assert eer(-bonafide, -spoof).rate == pytest.approx(norm.cdf(distance / 2), abs=1e-4)
    assert cllr(-distance * bonafide, -distance * spoof) > 1


# --- calibration error -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("p_spoof", "is_spoof", "expected"),
    [
        pytest.param([0.0, 1.0], [False, True], 0.0, id="sure and right"),
        pytest.param([1.0, 0.0], [False, True], 1.0, id="sure and wrong"),
        pytest.param([0.5, 0.5], [False, True], 0.0, id="knows nothing and says so"),
        # One bin, 0.8 against a share of one half.
        pytest.param([0.8, 0.8], [False, True], 0.3, id="overconfident"),
        # Classes weigh the same: still one half, whatever the numbers of recordings.
        pytest.param([0.8] * 10, [False] + [True] * 9, 0.3, id="unbalanced"),
        # Bins 0.2 and 0.9, one half of the weight each: |0.2 - 0| / 2 + |0.9 - 1| / 2.
        pytest.param([0.2, 0.9], [False, True], 0.15, id="two bins"),
        # 0.11 and 0.19 share a bin and cancel out to |0.15 - 0.5|; 0.19 and 0.21 would not.
        pytest.param([0.19, 0.11], [False, True], 0.35, id="within a bin"),
        pytest.param([0.19, 0.21], [False, True], 0.19 / 2 + 0.79 / 2, id="across bins"),
    ],
)
def test_calibration_error_by_hand(p_spoof: list[float], is_spoof: list[bool], expected: float) -> None:
    """Small cases, worked out on paper."""
    assert calibration_error(p_spoof, is_spoof) == pytest.approx(expected)


def test_calibration_error_with_other_bins() -> None:
    """With one bin only the overall mean counts."""
    assert calibration_error([0.1, 0.9], [True, False], n_bins=1) == pytest.approx(0.0)
    assert calibration_error([0.1, 0.9], [True, False], n_bins=2) == pytest.approx(0.9)


def test_calibration_error_of_true_probabilities() -> None:
    """The true probabilities of two normals have next to none."""
    bonafide, spoof = normals(2.0)
    p = 1 / (1 + np.exp(2.0 * np.concatenate([bonafide, spoof])))
    assert calibration_error(p, np.repeat([False, True], len(spoof))) == pytest.approx(0.0, abs=1e-3)


# --- Cllr after recalibration -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bonafide", "spoof", "expected"),
    [
        pytest.param([2.0, 3.0], [0.0, 1.0], 0.0, id="apart"),
        pytest.param([0.0, 0.0], [0.0], 1.0, id="equal"),
        pytest.param([0.0, 1.0], [2.0, 3.0], 1.0, id="the wrong way round: nothing is turned"),
        # Blocks with shares (b, s) of (0, 1/2), (1/2, 1/2), (1/2, 0): only the middle one costs, 1 bit for its half.
        pytest.param([1.0, 2.0], [0.0, 1.0], 0.5, id="half of it overlaps"),
        # Blocks (1/4, 3/4) and (3/4, 1/4): (1/4 log2 4 + 3/4 log2 4/3) / 2 for either class, and two of these.
        pytest.param([0.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 1.0], 0.25 * 2 + 0.75 * math.log2(4 / 3), id="binary"),
        # Classes weigh the same, whatever the numbers of trials: the case before, with bona fide trials threefold.
        pytest.param([0.0] * 3 + [1.0] * 9, [0.0] * 3 + [1.0], 0.25 * 2 + 0.75 * math.log2(4 / 3), id="unbalanced"),
    ],
)
def test_min_cllr_by_hand(bonafide: list[float], spoof: list[float], expected: float) -> None:
    """Small cases, worked out on paper."""
    assert min_cllr(bonafide, spoof) == pytest.approx(expected, abs=1e-12)


@quick
@given(some_scores, some_scores)
def test_min_cllr_is_what_a_rising_function_can_reach(bonafide: list[int], spoof: list[int]) -> None:
    """No rising function gives less; the best step function, with one step anywhere, gives no less either."""
    least = min_cllr(bonafide, spoof)
    assert 0 <= least <= 1 + 1e-12
    for scale in (0.01, 0.1, 1.0):
        for offset in (-1.0, 0.0, 1.0):
            b, s = (scale * np.array(scores) + offset for scores in (bonafide, spoof))
            assert cllr(b, s) >= least - 1e-12
            assert min_cllr(b, s) == pytest.approx(least)
    for step in set(bonafide) | set(spoof):
        b_high, s_high = (float(np.mean(np.array(scores) >= step)) for scores in (bonafide, spoof))
        if 0 < s_high <= b_high < 1:
            low, high = np.log((1 - b_high) / (1 - s_high)), np.log(b_high / s_high)
            assert cllr(*(np.where(np.array(x) < step, low, high) for x in (bonafide, spoof))) >= least - 1e-12


@pytest.mark.parametrize("distance", [0.5, 1.0, 3.0])
def test_true_ratios_need_no_recalibration(distance: float) -> None:
    """The true log-likelihood ratios of two normals are as good as after the best recalibration."""
    bonafide, spoof = normals(distance)
    assert min_cllr(distance * bonafide, distance * spoof) == pytest.approx(
        cllr(distance * bonafide, distance * spoof), abs=1e-3
    )


# --- the mean over sources -------------------------------------------------------------------------------------


def test_mean_over_sources() -> None:
    """A source counts once, however large; one with a single class does not count."""
    perfect, swapped, one_class = [(9.0, True)] * 5 + [(-9.0, False)], [(-1.0, True), (1.0, False)], [(0.0, True)]
    trials = [*perfect, *swapped, *one_class]
    llr, is_genuine = (np.array(column) for column in zip(*trials, strict=True))
    sources = ["perfect"] * 6 + ["swapped"] * 2 + ["one class"]
    assert mean_eer(llr, is_genuine, sources) == pytest.approx((0.0 + 1.0) / 2)
    order = np.random.default_rng(0).permutation(len(trials))
    assert mean_eer(llr[order], is_genuine[order], [sources[i] for i in order]) == pytest.approx(0.5)


def test_no_source_with_both_classes() -> None:
    """Where genuine speech and deepfakes come from different places there is no such mean."""
    assert mean_eer(np.array([1.0, -1.0]), np.array([True, False]), ["a", "b"]) is None


# --- bad input -------------------------------------------------------------------------------------------------

SCORE_METRICS: dict[str, Callable[..., object]] = {
    "eer": eer,
    "eer_hull": eer_hull,
    "det_curve": det_curve,
    "precision_recall_curve": precision_recall_curve,
    "average_precision": average_precision,
    "average_precision, bona fide": functools.partial(average_precision, positive="bonafide"),
    "roc_auc": roc_auc,
    "decisions": functools.partial(decisions, threshold=0.0),
    "cllr": cllr,
    "min_cllr": min_cllr,
    "min_dcf": min_dcf,
    "act_dcf": act_dcf,
    "min_tdcf": functools.partial(min_tdcf, asv=ASVSPOOF5_ASV),
    "min_tdcf_2019": functools.partial(min_tdcf_2019, asv=ASVSPOOF5_ASV),
}


@pytest.mark.parametrize("metric", SCORE_METRICS.values(), ids=list(SCORE_METRICS))
@pytest.mark.parametrize(
    ("bonafide", "spoof", "match"),
    [
        pytest.param([], [1.0], "there are no bona fide trials", id="no bona fide"),
        pytest.param([1.0], [], "there are no spoofed trials", id="no spoof"),
        pytest.param([], [], "there are no bona fide trials", id="nothing"),
        pytest.param([1.0, math.nan], [0.0], "bona fide scores hold NaN or infinity", id="NaN"),
        pytest.param([1.0], [0.0, -math.inf], "spoofed scores hold NaN or infinity", id="infinity"),
    ],
)
def test_undefined_metrics(
    metric: Callable[..., object], bonafide: list[float], spoof: list[float], match: str
) -> None:
    """A missing class or a score that is no number is an error, never a number."""
    with pytest.raises(MetricError, match=match):
        metric(bonafide, spoof)


def test_decisions_at_no_threshold() -> None:
    """A threshold that is no number decides nothing; an infinite one rejects all."""
    with pytest.raises(MetricError, match="threshold of NaN"):
        decisions([1.0], [0.0], math.nan)
    assert decisions([1.0], [0.0], math.inf).frr == 1.0


def test_mean_over_sources_of_what_is_no_list_of_scores() -> None:
    """NaN, and sources of another number than the scores, are errors; a single class has no such mean."""
    with pytest.raises(MetricError, match="bona fide scores hold NaN"):
        mean_eer([math.nan, 0.0], [True, False], ["a", "a"])
    with pytest.raises(MetricError, match="1 sources do not match 2 trials"):
        mean_eer([1.0, 0.0], [True, False], ["a"])
    with pytest.raises(MetricError, match="3 scores do not match 2 trials"):
        mean_eer([1.0, 0.0, 2.0], [True, False], ["a", "a"])
    assert mean_eer([1.0, 0.0], [True, True], ["a", "a"]) is None


@pytest.mark.parametrize(
    ("p_spoof", "is_spoof", "match"),
    [
        pytest.param([], [], "there are no bona fide trials", id="nothing"),
        pytest.param([0.5], [False], "there are no spoofed trials", id="one class"),
        pytest.param([0.5, math.nan], [False, True], "spoofed scores hold NaN", id="NaN"),
        pytest.param([0.5, 1.01], [False, True], "must lie between 0 and 1", id="above 1"),
        pytest.param([-0.01, 0.5], [False, True], "must lie between 0 and 1", id="below 0"),
        pytest.param([0.5, 0.5, 0.5], [False, True], "3 probabilities do not match 2 trials", id="lengths"),
    ],
)
def test_undefined_calibration_error(p_spoof: list[float], is_spoof: list[bool], match: str) -> None:
    """What is no list of probabilities with their truth is an error."""
    with pytest.raises(MetricError, match=match):
        calibration_error(p_spoof, is_spoof)
