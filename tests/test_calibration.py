"""Calibration: scores of known distributions give the log-likelihood ratios that they have on paper."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from deepfake_audio.calibration import (
    OPERATING_POINTS,
    PRIOR_DEEPFAKE,
    Calibration,
    familiarity_threshold,
    fit_calibration,
    fit_weights,
    llr_at,
    operating_points,
    p_deepfake,
)
from deepfake_audio.errors import TrainingError

FloatArray = npt.NDArray[np.float64]

quick = settings(deadline=None)
priors = st.floats(0.001, 0.999)


def quantiles(mean: float, deviation: float, n: int) -> FloatArray:
    """Return n scores that are spread like a normal distribution, with nothing left to chance."""
    return np.asarray(norm.ppf((np.arange(n) + 0.5) / n, mean, deviation))


def fit(genuine: FloatArray, spoof: FloatArray, weights: FloatArray | None = None) -> Calibration:
    """Fit to the scores of two classes."""
    scores = np.concatenate([genuine, spoof])
    is_genuine = np.arange(len(scores)) < len(genuine)
    return fit_calibration(scores, is_genuine, np.ones(len(scores)) if weights is None else weights)


def check(found: Calibration, genuine_mean: float, spoof_mean: float, deviation: float) -> None:
    """Compare with ``(mu1 - mu0) / s^2 * (x - (mu0 + mu1) / 2)``: the slope within 3 %, the middle within 0.05."""
    assert found.scale == pytest.approx((genuine_mean - spoof_mean) / deviation**2, rel=0.03)
    assert found.llr((genuine_mean + spoof_mean) / 2) == pytest.approx(0.0, abs=0.05)


# --- the fit ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("genuine_mean", "spoof_mean", "deviation"),
    [
        pytest.param(1.0, -1.0, 1.0, id="around zero"),
        pytest.param(5.0, 3.0, 2.0, id="much overlap"),
        pytest.param(0.9, 0.7, 0.1, id="like probabilities"),
        pytest.param(0.002, 0.0, 0.001, id="small numbers"),
        pytest.param(10_002.0, 10_000.0, 1.0, id="far from zero"),
        pytest.param(-3e5, -5e5, 1e5, id="large numbers"),
    ],
)
def test_two_normals(genuine_mean: float, spoof_mean: float, deviation: float) -> None:
    """Two normals of one variance give their closed form, wherever they lie and whatever the unit."""
    found = fit(quantiles(genuine_mean, deviation, 3_000), quantiles(spoof_mean, deviation, 3_000))
    check(found, genuine_mean, spoof_mean, deviation)


@pytest.mark.parametrize(("n_genuine", "n_spoof"), [(10_000, 1_000), (1_000, 10_000)])
def test_unbalanced_classes(n_genuine: int, n_spoof: int) -> None:
    """How many recordings a class has says nothing of how likely it is."""
    check(fit(quantiles(1.0, 1.0, n_genuine), quantiles(-1.0, 1.0, n_spoof)), 1.0, -1.0, 1.0)


def test_weights_count_within_a_class() -> None:
    """Recordings of next to no weight change next to nothing, also where they are most of their class."""
    stray = quantiles(-6.0, 1.0, 5_000)
    genuine, spoof = quantiles(1.0, 1.0, 3_000), quantiles(-1.0, 1.0, 3_000)
    weights = np.concatenate([np.full(5_000, 1e-9), np.ones(6_000)])
    check(fit(np.concatenate([stray, genuine]), spoof, weights), 1.0, -1.0, 1.0)


def test_weights_repeat_recordings() -> None:
    """A recording of weight 2 counts like two; the unit of the weights, in each class, does not matter."""
    low, high = quantiles(0.0, 1.0, 2_000), quantiles(2.0, 1.0, 2_000)
    spoof = quantiles(-1.0, 1.0, 2_000)
    repeated = fit(np.concatenate([low, low, high]), spoof)
    weighted = fit(np.concatenate([low, high]), spoof, np.repeat([20.0, 10.0, 0.3], 2_000))
    assert (weighted.scale, weighted.offset) == pytest.approx((repeated.scale, repeated.offset), abs=0.01)


@pytest.mark.parametrize(("n_genuine", "n_spoof"), [(1, 1), (3, 3), (9, 2), (50, 400)])
def test_classes_that_do_not_overlap(n_genuine: int, n_spoof: int) -> None:
    """Perfect scores stay finite: n recordings, all on one side, are evidence of n + 1 to 1 (Platt's targets)."""
    found = fit(np.full(n_genuine, 3.0), np.full(n_spoof, 1.0))
    assert found.llr(3.0) == pytest.approx(math.log(n_genuine + 1), abs=0.01)
    assert found.llr(1.0) == pytest.approx(-math.log(n_spoof + 1), abs=0.01)


@pytest.mark.parametrize(
    ("genuine", "spoof"),
    [
        pytest.param([-1.0, -2.0, 0.5], [1.0, 2.0, 0.0], id="reversed"),
        pytest.param([0.1] * 7, [0.1] * 13, id="all equal"),
        pytest.param([5.0], [5.0], id="one each, equal"),
        pytest.param([0.0], [1.0], id="one each, reversed"),
    ],
)
def test_scores_that_say_nothing(genuine: list[float], spoof: list[float]) -> None:
    """A calibration never turns a ranking around, and makes nothing out of equal scores."""
    with pytest.raises(TrainingError, match="no better than chance"):
        fit(np.array(genuine), np.array(spoof))


@pytest.mark.parametrize(("genuine", "spoof"), [([1.0, 2.0], []), ([], [1.0, 2.0]), ([], [])])
def test_missing_class(genuine: list[float], spoof: list[float]) -> None:
    """Both classes are needed."""
    with pytest.raises(TrainingError, match="needs genuine and spoofed recordings"):
        fit(np.array(genuine), np.array(spoof))


def test_llr_is_affine() -> None:
    """The map is a scale and an offset, nothing else."""
    assert Calibration(scale=2.0, offset=-1.0).llr(3.0) == 5.0


# --- weights of members ----------------------------------------------------------------------------------------


def two_classes(n: int = 2_000) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Return scores of unit variance, two apart between the classes, genuine ones first."""
    return np.concatenate([quantiles(1.0, 1.0, n), quantiles(-1.0, 1.0, n)]), np.arange(2 * n) < n


def weights_of(
    *members: FloatArray, is_genuine: npt.NDArray[np.bool_], weights: FloatArray | None = None
) -> FloatArray:
    """Fit the weights of members."""
    scores = np.stack(members, axis=1)
    return fit_weights(scores, is_genuine, np.ones(len(scores)) if weights is None else weights)


def test_a_single_member_counts_fully() -> None:
    """There is nothing to fit, even where it says nothing."""
    assert fit_weights(np.zeros((4, 1)), np.array([True, False, True, False]), np.ones(4)).tolist() == [1.0]


def test_independent_members_weigh_like_their_evidence() -> None:
    """Two independent normals have the weights of their log-likelihood ratios: (mu1 - mu0) / s^2 each."""
    rng = np.random.default_rng(0)
    _, is_genuine = two_classes(20_000)
    sides = np.where(is_genuine, 1.0, -1.0)
    one, other = sides + rng.standard_normal(40_000), 5 * sides + 10 * rng.standard_normal(40_000) + 300
    assert weights_of(one, other, is_genuine=is_genuine) == pytest.approx([2.0, 0.1], rel=0.05)


def test_a_member_that_says_the_opposite_counts_nothing() -> None:
    """No weight is negative: a member that is wrong is left out, not turned around."""
    good, is_genuine = two_classes()
    wrong = np.where(is_genuine, -1.0, 1.0) + np.random.default_rng(1).standard_normal(len(good))
    found = weights_of(good, wrong, is_genuine=is_genuine)
    assert found[1] == 0
    assert found[0] == pytest.approx(2.0, rel=0.03)


@pytest.mark.parametrize("value", [0.0, 0.1, -7.0])
def test_a_member_that_says_nothing_counts_nothing(value: float) -> None:
    """Equal scores have no weight, and change nothing."""
    good, is_genuine = two_classes()
    constant = np.full(len(good), value)
    assert weights_of(good, constant, is_genuine=is_genuine) == pytest.approx([2.0, 0.0], rel=0.03)
    assert weights_of(constant, good, is_genuine=is_genuine)[0] == 0


def test_a_copy_of_a_member_shares_its_weight() -> None:
    """Saying it twice is no more evidence, whatever the unit."""
    good, is_genuine = two_classes()
    assert weights_of(good, good, is_genuine=is_genuine) == pytest.approx([1.0, 1.0], rel=0.03)
    assert weights_of(good, 10 * good + 5, is_genuine=is_genuine) == pytest.approx([1.0, 0.1], rel=0.03)


def test_recordings_of_no_weight_do_not_count() -> None:
    """Where the weights say so, a member that is wrong elsewhere is as good as any."""
    good, is_genuine = two_classes()
    rng = np.random.default_rng(2)
    trusted = rng.random(len(good)) < 0.5
    liar = np.where(trusted, good + rng.standard_normal(len(good)), -9 * np.sign(good))
    weights = np.where(trusted, 1.0, 1e-9)
    found = weights_of(liar, -good, is_genuine=is_genuine, weights=weights)
    assert found[0] > 0.5
    assert weights_of(liar, good, is_genuine=is_genuine)[0] < 0.1


@pytest.mark.parametrize("kind", ["reversed", "constant"])
def test_no_member_is_any_good(kind: str) -> None:
    """Members that are all wrong, or all silent, are no model."""
    good, is_genuine = two_classes()
    bad = -good if kind == "reversed" else np.zeros(len(good))
    with pytest.raises(TrainingError, match="no member of the model does better than chance"):
        weights_of(bad, bad, is_genuine=is_genuine)


# --- operating points ------------------------------------------------------------------------------------------

llrs = st.lists(st.floats(-50, 50), min_size=1, max_size=300)


@quick
@given(llrs, llrs)
def test_operating_points_keep_their_promise(genuine: list[float], deepfake: list[float]) -> None:
    """At most 1 % of the genuine lie below the one threshold, and at most 5 % of the deepfakes not below the other."""
    points = operating_points(np.array(genuine), np.array(deepfake))
    assert points.keys() == OPERATING_POINTS.keys()
    assert sum(llr < points["few-false-alarms"] for llr in genuine) <= 0.01 * len(genuine)
    assert sum(llr >= points["few-misses"] for llr in deepfake) <= 0.05 * len(deepfake)
    assert points["few-false-alarms"] <= points["balanced"] == 0.0 <= points["few-misses"]


def test_operating_points_use_up_what_is_allowed() -> None:
    """Of 200 and 100 overlapping recordings two and five are on the wrong side, which is 1 % and 5 %."""
    genuine, deepfake = np.linspace(-10, 90, 200), np.linspace(-90, 10, 100)
    points = operating_points(genuine, deepfake)
    assert (genuine < points["few-false-alarms"]).sum() == 2
    assert (deepfake >= points["few-misses"]).sum() == 5


def test_good_models_decide_at_zero() -> None:
    """Where fewer mistakes than allowed are made at 0, no point is on the other side of it."""
    assert set(operating_points(np.full(9, 3.0), np.full(9, -3.0)).values()) == {0.0}


# --- probabilities ---------------------------------------------------------------------------------------------


@quick
@given(st.floats(-30, 30), priors)
def test_p_deepfake_is_bayes_rule(llr: float, prior: float) -> None:
    """The probability is that of Bayes' rule, written with likelihoods."""
    genuine, deepfake = math.exp(llr) * (1 - prior), prior
    assert p_deepfake(llr, prior) == pytest.approx(deepfake / (genuine + deepfake), rel=1e-9)


@quick
@given(priors)
def test_no_evidence_leaves_the_prior(prior: float) -> None:
    """A log-likelihood ratio of 0 says nothing."""
    assert p_deepfake(0.0, prior) == pytest.approx(prior)
    assert llr_at(prior, prior) == pytest.approx(0.0, abs=1e-12)
    assert p_deepfake(0.0) == PRIOR_DEEPFAKE == 0.5


@quick
@given(st.floats(-15, 300), priors)
def test_llr_at_turns_p_deepfake_around(llr: float, prior: float) -> None:
    """From evidence to probability and back; above 15 nats for a deepfake the probability is too close to 1 for it."""
    assert llr_at(p_deepfake(llr, prior), prior) == pytest.approx(llr, abs=1e-6)


@quick
@given(st.floats(1e-9, 1 - 1e-9), priors)
def test_p_deepfake_turns_llr_at_around(p: float, prior: float) -> None:
    """From probability to evidence and back."""
    assert p_deepfake(llr_at(p, prior), prior) == pytest.approx(p, rel=1e-9)


@quick
@given(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4), priors)
def test_more_evidence_means_less_deepfake(one: float, other: float, prior: float) -> None:
    """The probability never rises with the evidence for genuine speech, and never leaves [0, 1]."""
    low, high = sorted([one, other])
    assert 1.0 >= p_deepfake(low, prior) >= p_deepfake(high, prior) >= 0.0


@pytest.mark.parametrize(("llr", "p"), [(1e4, 0.0), (-1e4, 1.0), (math.inf, 0.0), (-math.inf, 1.0)])
@pytest.mark.parametrize("prior", [0.001, 0.5, 0.999])
def test_extreme_evidence(llr: float, p: float, prior: float) -> None:
    """Any amount of evidence has a probability."""
    assert p_deepfake(llr, prior) == p


def test_small_probabilities_keep_their_digits() -> None:
    """Strong evidence for genuine speech is not rounded to certainty."""
    assert p_deepfake(100.0) == pytest.approx(math.exp(-100), rel=1e-12)


@pytest.mark.parametrize("n", [1, 12, 99, 101, 1000, 4321])
def test_at_most_a_hundredth_is_unfamiliar(n: int) -> None:
    """The threshold is a familiarity that was measured, and up to one in a hundred lies below it."""
    familiarity = np.random.default_rng(n).beta(4, 4, n)
    threshold = familiarity_threshold(familiarity)
    assert threshold in familiarity
    assert 0.01 * n - 1.01 <= (familiarity < threshold).sum() <= 0.01 * n
