"""Bootstrap intervals: a weight is a repeated trial, and intervals hold what they should, no more and no less."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from deepfake_audio import metrics
from deepfake_audio.errors import MetricError
from deepfake_audio.metrics import (
    AsvRates,
    Difference,
    Draw,
    Interval,
    Measure,
    Trials,
    bootstrap,
    measures,
    paired_bootstrap,
)

if TYPE_CHECKING:
    from collections.abc import Callable

Scores = npt.NDArray[np.float64]
Truth = npt.NDArray[np.bool_]

quick = settings(deadline=None, max_examples=40)
ASV = AsvRates(threshold=None, false_alarm=0.02, miss=0.03, spoof_accepted=0.6)
AT = 0.5


def p_spoof(scores: Scores) -> Scores:
    """Return the probability that a log-likelihood ratio means at a prior of one half."""
    return 1 / (1 + np.exp(scores))


# Each measure with the function of the same name: of scores of either class, or of both with the truth.
MEASURES: dict[str, tuple[Measure, Callable[[Scores, Scores], float]]] = {
    "eer": (measures.eer, lambda b, s: metrics.eer(b, s).rate),
    "eer_hull": (measures.eer_hull, metrics.eer_hull),
    "roc_auc": (measures.roc_auc, metrics.roc_auc),
    "average_precision": (measures.average_precision(), metrics.average_precision),
    "average_precision, bona fide": (
        measures.average_precision("bonafide"),
        lambda b, s: metrics.average_precision(b, s, positive="bonafide"),
    ),
    "accuracy": (measures.accuracy(AT), lambda b, s: metrics.decisions(b, s, AT).accuracy),
    "balanced_accuracy": (
        measures.balanced_accuracy(AT),
        lambda b, s: metrics.decisions(b, s, AT).balanced_accuracy,
    ),
    "frr": (measures.frr(AT), lambda b, s: metrics.decisions(b, s, AT).frr),
    "far": (measures.far(AT), lambda b, s: metrics.decisions(b, s, AT).far),
    "cllr": (measures.cllr, metrics.cllr),
    "min_cllr": (measures.min_cllr, metrics.min_cllr),
    "calibration_error": (
        measures.calibration_error(7),
        lambda b, s: metrics.calibration_error(
            p_spoof(np.append(b, s)), np.repeat([False, True], [len(b), len(s)]), n_bins=7
        ),
    ),
    "min_tdcf": (measures.min_tdcf(ASV), lambda b, s: metrics.min_tdcf(b, s, ASV).value),
    "min_tdcf_2019": (measures.min_tdcf_2019(ASV), lambda b, s: metrics.min_tdcf_2019(b, s, ASV).value),
    "min_dcf": (measures.min_dcf(p_spoof=0.3), lambda b, s: metrics.min_dcf(b, s, p_spoof=0.3).value),
    "act_dcf": (measures.act_dcf(c_fa=3.0), lambda b, s: metrics.act_dcf(b, s, c_fa=3.0)),
}
each_measure = pytest.mark.parametrize("name", MEASURES)


def simulated(n: int, seed: int, distance: float = 1.5) -> tuple[Scores, Truth]:
    """Return scores of two normals of variance 1, n trials of either class, the middle between them at 0."""
    truth = np.repeat([True, False], n)
    scores = np.random.default_rng(seed).normal(np.where(truth, distance / 2, -distance / 2))
    return scores, truth


def width(interval: Interval | Difference) -> float:
    """Return the width of an interval."""
    return interval.high - interval.low


# --- weights ----------------------------------------------------------------------------------------------------

# Scores, truths and how often each trial was drawn; few whole numbers, so that ties are frequent.
weighted_trials = st.lists(
    st.tuples(st.integers(-4, 4), st.booleans(), st.integers(0, 3), st.sampled_from("abc")), min_size=2, max_size=40
)


@each_measure
@quick
@given(trials=weighted_trials)
def test_each_trial_once_is_the_figure_itself(name: str, trials: list[tuple[int, bool, int, str]]) -> None:
    """With weights of one a measure gives what the function of its name gives."""
    scores, truth = np.array([t[0] for t in trials], float), np.array([t[1] for t in trials])
    assume(truth.any() and not truth.all())
    measure, function = MEASURES[name]
    sorted_trials = Trials.of(scores, truth)
    found = measure(sorted_trials)(sorted_trials.once)
    assert found == pytest.approx(function(scores[truth], scores[~truth]), rel=0, abs=1e-14)


@each_measure
@quick
@given(trials=weighted_trials)
def test_a_weight_is_a_repeated_trial(name: str, trials: list[tuple[int, bool, int, str]]) -> None:
    """A trial of weight w is w trials, one of weight 0 is none: also inside the walk of the equal error rate."""
    scores, truth = np.array([t[0] for t in trials], float), np.array([t[1] for t in trials])
    times = np.array([t[2] for t in trials])
    assume(times[truth].any() and times[~truth].any())
    measure, function = MEASURES[name]
    sorted_trials = Trials.of(scores, truth)
    found = measure(sorted_trials)(Draw(sorted_trials, times[sorted_trials.order]))
    repeated, kinds = np.repeat(scores, times), np.repeat(truth, times)
    assert found == pytest.approx(function(repeated[kinds], repeated[~kinds]), rel=0, abs=1e-14)


@quick
@given(trials=weighted_trials)
def test_mean_over_sources_of_weighted_trials(trials: list[tuple[int, bool, int, str]]) -> None:
    """The same goes for the mean over sources, in which a source that a draw lacks, or half of it, does not count."""
    scores, truth, times, sources = (np.array(column) for column in zip(*trials, strict=True))
    assume(times[truth].any() and times[~truth].any() and truth.any() and not truth.all())
    sorted_trials = Trials.of(scores, truth)
    found = measures.macro_eer(sources)(sorted_trials)(Draw(sorted_trials, times[sorted_trials.order]))
    expected = metrics.mean_eer(np.repeat(scores, times), np.repeat(truth, times), np.repeat(sources, times))
    assert found == pytest.approx(np.nan if expected is None else expected, rel=0, abs=1e-15, nan_ok=True)


def test_walk_ends_between_copies_of_a_trial() -> None:
    """Four copies of one spoofed trial above one bona fide: after two of them FRR 1/2 meets FAR 2/4."""
    trials = Trials.of([0.0, 1.0, 2.0], [True, False, True])
    assert measures.eer(trials)(Draw(trials, np.array([1, 4, 1]))) == 0.5
    assert measures.eer(trials)(Draw(trials, np.array([2, 4, 1]))) == pytest.approx((2 / 3 + 3 / 4) / 2)


# --- intervals --------------------------------------------------------------------------------------------------


def test_interval_of_a_rate_is_that_of_a_binomial() -> None:
    """Single trials: the share of 400 that is wrong spreads by sqrt(p (1 - p) / 400)."""
    scores, truth = simulated(400, seed=1)
    found = bootstrap(scores, truth, None, {"frr": measures.frr(0.0), "far": measures.far(0.0)})
    at = metrics.decisions(scores[truth], scores[~truth], 0.0)
    for interval, rate in ((found["frr"], at.frr), (found["far"], at.far)):
        spread = 1.96 * np.sqrt(rate * (1 - rate) / 400)
        assert interval.low == pytest.approx(rate - spread, abs=0.2 * spread)
        assert interval.high == pytest.approx(rate + spread, abs=0.2 * spread)


def test_confidence() -> None:
    """A wider share of the draws gives a wider interval: of normal draws, by 2.576 / 1.645 for 99 against 90 %."""
    scores, truth = simulated(400, seed=1)
    wide, narrow = (bootstrap(scores, truth, None, {"auc": measures.roc_auc}, confidence=c)["auc"] for c in (0.99, 0.9))
    assert wide.low < narrow.low < narrow.high < wide.high
    assert width(wide) / width(narrow) == pytest.approx(norm.ppf(0.995) / norm.ppf(0.95), rel=0.1)


def test_coverage() -> None:
    """Of 100 samples of 2 x 60 trials about 95 % have an interval that holds the truth, in three figures."""
    distance = 1.5
    truths = {
        "auc": norm.cdf(distance / np.sqrt(2)),
        "frr": norm.cdf(-distance / 2),
        "eer": norm.cdf(-distance / 2),
    }
    chosen = {"auc": measures.roc_auc, "frr": measures.frr(0.0), "eer": measures.eer}
    n_held = dict.fromkeys(truths, 0)
    for seed in range(100):
        found = bootstrap(*simulated(60, seed, distance), None, chosen, n_resamples=200, seed=seed)
        for name, value in truths.items():
            n_held[name] += found[name].low <= value <= found[name].high
    assert all(87 <= n <= 99 for n in n_held.values()), n_held


def clustered(seed: int, n_speakers: int = 20, n_each: int = 20) -> tuple[Scores, Truth, list[str]]:
    """Return trials of speakers that each lie higher or lower as a whole, each with both classes."""
    random = np.random.default_rng(seed)
    speaker = np.repeat(np.arange(n_speakers), n_each)
    truth = np.arange(len(speaker)) % 2 == 0
    scores = random.normal(np.where(truth, 1.0, -1.0)) + random.normal(0, 1.5, n_speakers)[speaker]
    return scores, truth, [f"speaker {i}" for i in speaker]


def test_trials_of_a_group_are_drawn_together() -> None:
    """Where speakers differ, 20 speakers say less than 400 trials: the interval is wider by group, and it covers."""
    chosen = {"frr": measures.frr(0.0)}
    scores, truth, speakers = clustered(0)
    by_group, by_trial = (bootstrap(scores, truth, g, chosen)["frr"] for g in (speakers, None))
    assert width(by_group) > 1.5 * width(by_trial)
    # A bona fide score is 1 + N(0, 1) + N(0, 1.5^2).
    expected = norm.cdf(-1 / np.sqrt(1 + 1.5**2))
    n_held = {"by group": 0, "by trial": 0}
    for seed in range(60):
        scores, truth, speakers = clustered(seed)
        for name, groups in (("by group", speakers), ("by trial", None)):
            found = bootstrap(scores, truth, groups, chosen, n_resamples=200, seed=seed)["frr"]
            n_held[name] += found.low <= expected <= found.high
    assert n_held["by group"] >= 50
    assert n_held["by trial"] <= 45


def test_groups_of_one_trial_are_trials() -> None:
    """Groups that are named in the order of the trials, one each, draw what no groups draw."""
    scores, truth = simulated(50, seed=3)
    names = [f"{i:03}" for i in range(100)]
    assert bootstrap(scores, truth, names, {"eer": measures.eer}) == bootstrap(
        scores, truth, None, {"eer": measures.eer}
    )


def test_order_of_the_trials_does_not_matter() -> None:
    """Mixed with their groups and sources, the trials of the speakers give the same intervals, in plain numbers."""
    scores, truth, speakers = clustered(2)
    order = np.random.default_rng(0).permutation(len(scores))
    found = []
    for s, t, g in ((scores, truth, np.array(speakers)), (scores[order], truth[order], np.array(speakers)[order])):
        chosen = {"eer": measures.eer, "macro_eer": measures.macro_eer(g), "frr": measures.frr(0.0)}
        found.append(bootstrap(s, t, g, chosen, n_resamples=50))
    assert found[0] == found[1]
    assert type(found[0]["eer"].low) is float


def test_the_seed_says_what_is_drawn() -> None:
    """The same seed gives the same interval, another seed another, and other measures beside it change nothing."""
    scores, truth = simulated(50, seed=3)
    once = bootstrap(scores, truth, None, {"auc": measures.roc_auc}, seed=1)
    assert (
        bootstrap(scores, truth, None, {"cllr": measures.cllr, "auc": measures.roc_auc}, seed=1)["auc"] == once["auc"]
    )
    assert bootstrap(scores, truth, None, {"auc": measures.roc_auc}, seed=2) != once


def test_part_of_the_trials() -> None:
    """One attack against all bona fide trials: its interval holds its own rate, not that of the easier one."""
    scores, truth = simulated(300, seed=4)
    hard = np.arange(600) % 2 == 0
    scores[~truth & ~hard] -= 4
    of_hard = truth | hard
    found = bootstrap(scores[of_hard], truth[of_hard], None, {"eer": measures.eer})["eer"]
    assert found.low <= metrics.eer(scores[truth], scores[~truth & hard]).rate <= found.high
    assert found.low > metrics.eer(scores[truth], scores[~truth & ~hard]).rate


def test_draws_without_a_class_do_not_count() -> None:
    """All bona fide trials come from one of three sources, which 8 of 27 draws lack: still there is an interval."""
    scores, truth = np.array([1.0, 2.0, 0.0, 1.5, -1.0, -2.0]), np.array([True, True, False, False, False, False])
    found = bootstrap(scores, truth, ["a", "a", "b", "b", "c", "c"], {"auc": measures.roc_auc})["auc"]
    # Only `a` and `c`: all in order. Only `a` and `b`: of (1, 2) against (0, 1.5), three of four.
    assert found == Interval(0.75, 1.0)


def test_draws_without_a_figure_do_not_count() -> None:
    """A mean over sources needs one with both classes: draws that lack it are left out."""
    scores, truth = np.array([1.0, 0.0, 2.0, -1.0]), np.array([True, False, True, False])
    sources = ["both", "both", "real", "fake"]
    found = bootstrap(scores, truth, sources, {"macro": measures.macro_eer(sources)})
    assert found == {"macro": Interval(0.0, 0.0)}


def exists_only_of_all(_: Trials) -> metrics.Figure:
    """Measure what no draw has that leaves out a trial."""
    return lambda draw: 1.0 if draw.weights.min() > 0 else float("nan")


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        pytest.param({"scores": [1.0, 2.0]}, "2 scores do not match 4 trials", id="too few scores"),
        pytest.param({"groups": ["a", "b"]}, "2 groups do not match 4 trials", id="too few groups"),
        pytest.param({"groups": ["ann"] * 4}, "all trials are of one group, ann", id="one group"),
        pytest.param({"is_bonafide": [True] * 4}, "there are no spoofed trials", id="one class"),
        pytest.param({"scores": [1.0, np.nan, 0.0, 0.0]}, "bona fide scores hold NaN", id="NaN"),
        pytest.param({"n_resamples": 0}, "0 resamples give no interval", id="no draws"),
        pytest.param({"confidence": 1.0}, "confidence must lie between 0 and 1, not 1.0", id="confidence"),
        pytest.param(
            {"scores": [*range(12)], "is_bonafide": [True, False] * 6, "measures": {"all": exists_only_of_all}},
            "of 600 draws had all figures: a class is in too few of the 12 groups",
            id="no draw has it",
        ),
        pytest.param(
            {"measures": {"macro": measures.macro_eer(["a", "b", "c", "d"])}},
            "these trials do not have the figure macro",
            id="a figure that is missing",
        ),
    ],
)
def test_intervals_that_do_not_exist(arguments: dict[str, object], match: str) -> None:
    """What makes an interval impossible is said."""
    valid = {
        "scores": [2.0, 1.0, 0.0, -1.0],
        "is_bonafide": [True, True, False, False],
        "groups": None,
        "measures": {"eer": measures.eer},
        "n_resamples": 30,
    }
    bootstrap(**valid)  # type: ignore[arg-type]
    with pytest.raises(MetricError, match=match):
        bootstrap(**(valid | arguments))  # type: ignore[arg-type]


# --- differences ------------------------------------------------------------------------------------------------


def test_difference_of_a_system_from_itself() -> None:
    """It is 0 in every draw, also after a rising function, which no ranking notices."""
    scores, truth = simulated(50, seed=5)
    chosen = {"eer": measures.eer, "auc": measures.roc_auc}
    nothing = {"eer": Difference(0.0, 0.0, 0.0), "auc": Difference(0.0, 0.0, 0.0)}
    assert paired_bootstrap(scores, scores, truth, None, chosen) == nothing
    assert paired_bootstrap(scores, np.exp(scores), truth, None, chosen) == nothing


def test_difference_is_b_minus_a() -> None:
    """B, which is A with more noise, has a higher rate, by what the two rates say; exchanged, the sign turns."""
    a, truth = simulated(500, seed=6, distance=3.0)
    b = a + np.random.default_rng(7).normal(0, 1.5, len(a))
    found = paired_bootstrap(a, b, truth, None, {"eer": measures.eer})["eer"]
    rates = [metrics.eer(x[truth], x[~truth]).rate for x in (a, b)]
    assert found.value == rates[1] - rates[0] > 0
    assert 0 < found.low < found.value < found.high
    exchanged = paired_bootstrap(b, a, truth, None, {"eer": measures.eer})["eer"]
    assert (exchanged.value, exchanged.low, exchanged.high) == pytest.approx((-found.value, -found.high, -found.low))


def test_pairs_say_more_than_two_intervals() -> None:
    """B is A with a little noise: what is hard for both cancels out."""
    a, truth = simulated(300, seed=8)
    b = a + np.random.default_rng(9).normal(0, 0.2, len(a))
    chosen = {"auc": measures.roc_auc}
    alone = bootstrap(a, truth, None, chosen)["auc"]
    assert width(paired_bootstrap(a, b, truth, None, chosen)["auc"]) < width(alone) / 2


def test_systems_with_thresholds_of_their_own() -> None:
    """B is A moved by 1, and so is its threshold: no decision differs; at the threshold of A they would."""
    a, truth = simulated(100, seed=10)
    of_a, of_b = ({"frr": measures.frr(t), "accuracy": measures.accuracy(t)} for t in (0.0, 1.0))
    found = paired_bootstrap(a, a + 1, truth, None, of_a, of_b)
    assert found == {"frr": Difference(0.0, 0.0, 0.0), "accuracy": Difference(0.0, 0.0, 0.0)}
    assert paired_bootstrap(a, a + 1, truth, None, of_a)["frr"].high < 0


def test_differences_by_group() -> None:
    """Groups are drawn together here too: B mends half of the speakers, and how many of these a draw has varies."""
    a, truth, speakers = clustered(11)
    mended = np.array([int(name.split()[1]) < 10 for name in speakers])
    b = np.where(mended, np.where(truth, 9.0, -9.0), a)
    chosen = {"balanced accuracy": measures.balanced_accuracy(0.0)}
    by_group, by_trial = (paired_bootstrap(a, b, truth, g, chosen)["balanced accuracy"] for g in (speakers, None))
    assert by_group.value == by_trial.value > 0
    assert width(by_group) > 1.2 * width(by_trial)


def test_measures_of_two_systems_must_have_the_same_names() -> None:
    """Otherwise there is nothing to subtract."""
    with pytest.raises(MetricError, match=r"measures of A and B differ: \['eer'\] and \['cllr'\]"):
        paired_bootstrap([1.0, 0.0], [1.0, 0.0], [True, False], None, {"eer": measures.eer}, {"cllr": measures.cllr})


def test_systems_must_have_the_same_trials() -> None:
    """Scores of another number of trials are an error."""
    with pytest.raises(MetricError, match="3 scores do not match 2 trials"):
        paired_bootstrap([1.0, 0.0], [1.0, 0.0, 0.5], [True, False], None, {"eer": measures.eer})


# --- the package ------------------------------------------------------------------------------------------------


def test_importing_metrics_loads_no_heavy_library() -> None:
    """Scikit-learn and SciPy are loaded by the functions that need them."""
    code = "import sys, deepfake_audio.metrics; print({'scipy', 'sklearn'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_everything_is_exported() -> None:
    """What the package names is there, and each measure has a function of its name."""
    assert all(hasattr(metrics, name) for name in metrics.__all__)
    assert {name.split(",")[0] for name in MEASURES} - set(metrics.__all__) == {
        "accuracy",  # in Decisions
        "balanced_accuracy",
        "frr",
        "far",
    }


def test_measured_is_each_trial_once() -> None:
    """Without any draw, measures give the figures of the trials as they are; what does not exist is an error."""
    scores, is_bonafide = np.array([2.0, 1.0, -1.0, 0.5, -2.0, -3.0]), np.repeat([True, False], 3)
    found = metrics.measured(scores, is_bonafide, {"eer": measures.eer, "far": measures.far(0.0)})
    assert found == {"eer": pytest.approx(1 / 3), "far": pytest.approx(1 / 3)}
    with pytest.raises(MetricError, match="do not have the figure macro_eer"):
        metrics.measured(scores, is_bonafide, {"macro_eer": measures.macro_eer(["a"] * 3 + ["b"] * 3)})
