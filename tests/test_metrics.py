"""Metrics: equal to the official evaluation code, to closed forms, and to what must hold for any scores."""

from __future__ import annotations

import csv
import functools
import gzip
import io
import json
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
from deepfake_audio.metrics import calibration_error, cllr, decisions, eer, mean_eer, roc_auc

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Scores = npt.NDArray[np.float64]

VECTORS = [
    "real/asv19la_eval_aasist_l.csv.gz",
    "real/asv19la_dev_aasist_l_pr9.csv.gz",
    "real/asv19la_eval_rawgat_st_mul.csv.gz",
    "real/asv5_eval50k_wavlm_erm_prob.csv.gz",
    "small/asv19la_aasist_l_every10.csv.gz",
    "small/asv19la_air_ocsoftmax_every10.csv.gz",
    "small/asv5_w2v2_erm_prob_every10.csv.gz",
    "synthetic/ties_integers.csv",
    "synthetic/ties_shuffled_rows.csv",
    "synthetic/perfect_separation.csv",
    "synthetic/perfect_inversion.csv",
    "synthetic/all_equal.csv",
    "synthetic/one_per_class_right.csv",
    "synthetic/one_per_class_wrong.csv",
    "synthetic/binary_decisions.csv",
    "synthetic/calibrated_llr.csv",
    "synthetic/miscalibrated_llr.csv",
    "synthetic/heavy_imbalance_few_bona.csv",
]
quick = settings(deadline=None, max_examples=60)
# Whole numbers, so that ties are frequent and a strictly rising function keeps different scores apart.
some_scores = st.lists(st.integers(-20, 20), min_size=1, max_size=30)


@functools.cache
def read_expected(shared: Path) -> dict[str, Any]:
    """Return what the official evaluation code gave for each file of scores."""
    expected: dict[str, Any] = json.loads((shared / "metrics" / "expected.json").read_text(encoding="utf-8"))
    return expected["vectors"]  # type: ignore[no-any-return]


@functools.cache
def read_scores(path: Path) -> tuple[Scores, dict[str, Scores]]:
    """Return the scores of bona fide trials, and those of each attack."""
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8")
    bonafide: list[float] = []
    attacks: dict[str, list[float]] = {}
    for row in csv.DictReader(io.StringIO(text)):
        if row["key"] == "bonafide":
            bonafide.append(float(row["score"]))
        else:
            attacks.setdefault(row["attack"], []).append(float(row["score"]))
    return np.array(bonafide), {name: np.array(scores) for name, scores in attacks.items()}


def exactly(value: float) -> Any:
    """Compare within what `meta.suggested_tolerance` in expected.json asks for."""
    return pytest.approx(value, rel=0, abs=1e-12)


def normals(distance: float, n: int = 20_000) -> tuple[Scores, Scores]:
    """Return the quantiles of two normal distributions of variance 1, so that nothing is left to chance."""
    quantiles = norm.ppf((np.arange(n) + 0.5) / n)
    return quantiles + distance / 2, quantiles - distance / 2


# --- the official evaluation code ------------------------------------------------------------------------------


def test_no_vector_is_forgotten(shared: Path) -> None:
    """Every file for which there are official numbers is compared below."""
    assert sorted(VECTORS) == sorted(read_expected(shared))


@pytest.mark.parametrize("name", VECTORS)
def test_eer_is_the_official_one(name: str, shared: Path) -> None:
    """Rate and threshold equal those of the ASVspoof 2019, 2021 and 5 packages, pooled and per attack."""
    expected = read_expected(shared)[name]
    bonafide, attacks = read_scores(shared / "metrics" / name)
    spoof = np.concatenate(list(attacks.values()))
    assert (len(bonafide), len(spoof)) == (expected["n_bonafide"], expected["n_spoof"])
    found = eer(bonafide, spoof)
    assert found.rate == exactly(expected["eer_asvspoof"]["eer"])
    assert found.threshold == exactly(expected["eer_asvspoof"]["threshold"])
    assert expected["eer_asvspoof_per_attack"].keys() == attacks.keys()
    for attack, values in expected["eer_asvspoof_per_attack"].items():
        found = eer(bonafide, attacks[attack])
        assert found.rate == exactly(values["eer"]), attack
        assert found.threshold == exactly(values["threshold"]), attack


@pytest.mark.parametrize("name", VECTORS)
def test_other_metrics_are_the_reference_ones(name: str, shared: Path) -> None:
    """AUC and decisions equal scikit-learn's, where "positive" is spoof, and Cllr equals ASVspoof 5 and BOSARIS."""
    expected = read_expected(shared)[name]
    bonafide, attacks = read_scores(shared / "metrics" / name)
    spoof = np.concatenate(list(attacks.values()))
    assert roc_auc(bonafide, spoof) == exactly(expected["auc_sklearn"])
    assert cllr(bonafide, spoof) == pytest.approx(expected["asvspoof5_track1"]["cllr_bits"], rel=1e-10)
    assert cllr(bonafide, spoof) == pytest.approx(expected["bosaris_octave"]["cllr"], rel=1e-10)
    found, at_0 = decisions(bonafide, spoof, 0.0), expected["threshold_0"]
    for key in ("accuracy", "balanced_accuracy"):
        assert getattr(found, key) == exactly(at_0[key]), key
    for key in ("precision", "recall", "f1"):
        assert getattr(found.spoof, key) == exactly(at_0["spoof_positive"][key]), key
        assert getattr(found.bonafide, key) == exactly(at_0["bonafide_positive"][key]), key
    confusion = at_0["confusion"]
    assert found.n_bonafide_accepted == confusion["bonafide_as_bonafide"]
    assert found.n_bonafide_rejected == confusion["bonafide_as_spoof"]
    assert found.n_spoof_accepted == confusion["spoof_as_bonafide"]
    assert found.n_spoof_rejected == confusion["spoof_as_spoof"]
    assert found.frr == exactly(confusion["bonafide_as_spoof"] / len(bonafide))
    assert found.far == exactly(confusion["spoof_as_bonafide"] / len(spoof))


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

SCORE_METRICS = [eer, roc_auc, cllr, functools.partial(decisions, threshold=0.0)]


@pytest.mark.parametrize("metric", SCORE_METRICS, ids=["eer", "roc_auc", "cllr", "decisions"])
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
