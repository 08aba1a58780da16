"""Curves and what is read off them: the hull's equal error rate, areas, precision and recall."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from deepfake_audio.metrics import (
    Positive,
    average_precision,
    decisions,
    det_curve,
    eer,
    eer_hull,
    mean_eer,
    precision_recall_curve,
    roc_auc,
)

quick = settings(deadline=None, max_examples=40)
# Few different whole numbers, so that ties are frequent.
some_scores = st.lists(st.integers(-6, 6), min_size=1, max_size=20)
CLASSES: list[Positive] = ["spoof", "bonafide"]


# --- the hull ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bonafide", "spoof", "expected"),
    [
        pytest.param([2.0, 3.0], [0.0, 1.0], 0.0, id="apart"),
        pytest.param([0.0, 1.0], [2.0, 3.0], 0.5, id="the wrong way round: never above one half"),
        pytest.param([0.25] * 7, [0.25] * 13, 0.5, id="all equal"),
        # FRR, FAR: (0, 1), (0, 1/2), (1/2, 0), (1, 0); from the second to the third, which pass through (1/4, 1/4).
        pytest.param([0.0, 2.0], [-1.0, 1.0], 0.25, id="between two corners"),
        # Corners (0, .7), (.6, .2): where x = .7 - 5/6 x.
        pytest.param([0.0] * 2 + [1.0] * 4 + [2.0] * 4, [-1.0] * 3 + [1.0] * 5 + [2.0] * 2, 0.7 / (11 / 6), id="ties"),
    ],
)
def test_hull_by_hand(bonafide: list[float], spoof: list[float], expected: float) -> None:
    """Small cases, worked out on paper."""
    assert eer_hull(bonafide, spoof) == pytest.approx(expected, abs=1e-12)


@quick
@given(some_scores, some_scores)
def test_hull_is_the_lowest_chord(bonafide: list[int], spoof: list[int]) -> None:
    """Of all lines between two points of the curve, one crosses FRR = FAR lowest: there lies the rate."""
    curve = det_curve(bonafide, spoof)
    points = list(zip(curve.frr, curve.far, strict=True))
    crossings = [
        a[0] + (b[0] - a[0]) * (a[1] - a[0]) / ((a[1] - a[0]) + (b[0] - b[1]))
        for a, b in itertools.product(points, points)
        if a[0] < a[1] and b[0] >= b[1]
    ]
    assert eer_hull(bonafide, spoof) == pytest.approx(min(crossings), abs=1e-12)


@quick
@given(some_scores, some_scores)
def test_hull_depends_on_the_ranking_only(bonafide: list[int], spoof: list[int]) -> None:
    """A rising function changes nothing, and no more does exchanging the classes with the sign."""
    rate = eer_hull(bonafide, spoof)
    assert eer_hull(np.exp(bonafide), np.exp(spoof)) == pytest.approx(rate, abs=1e-12)
    assert eer_hull(-np.array(spoof), -np.array(bonafide)) == pytest.approx(rate, abs=1e-12)


@pytest.mark.parametrize("distance", [0.5, 1.0, 2.0, 4.0])
def test_hull_of_two_normals(distance: float) -> None:
    """Two normals d apart have an EER of Phi(-d/2) on the hull too, since their ROC curve is convex."""
    quantiles = norm.ppf((np.arange(20_000) + 0.5) / 20_000)
    assert eer_hull(quantiles + distance, quantiles) == pytest.approx(norm.cdf(-distance / 2), abs=1e-4)


# --- curves -----------------------------------------------------------------------------------------------------


def test_det_curve_by_hand() -> None:
    """Tied scores make one step, for both classes at once."""
    curve = det_curve([1.0, 2.0, 2.0, 3.0], [0.0, 2.0])
    np.testing.assert_array_equal(curve.threshold, [0.0, 1.0, 2.0, 3.0, np.inf])
    np.testing.assert_array_equal(curve.frr, [0.0, 0.0, 0.25, 0.75, 1.0])
    np.testing.assert_array_equal(curve.far, [1.0, 0.5, 0.5, 0.0, 0.0])


@quick
@given(some_scores, some_scores)
def test_det_curve_gives_what_decisions_give(bonafide: list[int], spoof: list[int]) -> None:
    """At each threshold of the curve the two rates are those of the decisions there, and it goes from end to end."""
    curve = det_curve(bonafide, spoof)
    assert (curve.frr[0], curve.far[0], curve.frr[-1], curve.far[-1]) == (0.0, 1.0, 1.0, 0.0)
    for threshold, frr, far in zip(curve.threshold, curve.frr, curve.far, strict=True):
        found = decisions(bonafide, spoof, threshold)
        assert (found.frr, found.far) == (frr, far)


@quick
@given(some_scores, some_scores)
def test_det_curve_is_the_roc_curve_of_scikit_learn(bonafide: list[int], spoof: list[int]) -> None:
    """`1 - frr` over `far`, read backwards."""
    curve = det_curve(bonafide, spoof)
    accepted, kept, thresholds = sklearn.metrics.roc_curve(*labelled(bonafide, spoof), drop_intermediate=False)
    np.testing.assert_allclose(curve.far[::-1], accepted, rtol=0, atol=1e-15)
    np.testing.assert_allclose(1 - curve.frr[::-1], kept, rtol=0, atol=1e-15)
    np.testing.assert_array_equal(curve.threshold[::-1], thresholds)


def labelled(bonafide: list[int], spoof: list[int]) -> tuple[Any, Any]:
    """Return labels and scores, bona fide as the positive class."""
    return np.repeat([1, 0], [len(bonafide), len(spoof)]), np.array(bonafide + spoof, float)


@pytest.mark.parametrize("positive", CLASSES)
@quick
@given(some_scores, some_scores)
def test_precision_recall_curve_gives_what_decisions_give(
    positive: Positive, bonafide: list[int], spoof: list[int]
) -> None:
    """At each threshold stand precision and recall of the decisions there, from full recall to none."""
    curve = precision_recall_curve(bonafide, spoof, positive=positive)
    assert (curve.recall[0], curve.recall[-1], curve.precision[-1]) == (1.0, 0.0, 1.0)
    for threshold, precision, recall in zip(curve.threshold, curve.precision, curve.recall, strict=True):
        found = getattr(decisions(bonafide, spoof, threshold), positive)
        assert recall == pytest.approx(found.recall)
        if threshold != curve.threshold[-1]:  # where nothing is called positive, decisions say 0
            assert precision == pytest.approx(found.precision)


@pytest.mark.parametrize("positive", CLASSES)
@quick
@given(some_scores, some_scores)
def test_average_precision_is_the_sum_under_its_curve(
    positive: Positive, bonafide: list[int], spoof: list[int]
) -> None:
    """The precision at each threshold, times what the recall gains there."""
    curve = precision_recall_curve(bonafide, spoof, positive=positive)
    expected = -(np.diff(curve.recall) * curve.precision[:-1]).sum()
    assert average_precision(bonafide, spoof, positive=positive) == pytest.approx(expected)


def test_average_precision_by_hand() -> None:
    """Spoof at 0 and 2, bona fide at 1: precision 1 at the first spoofed trial, 2/3 at the second."""
    assert average_precision([1.0], [0.0, 2.0]) == pytest.approx((1 + 2 / 3) / 2)
    # Bona fide as the positive class: from above, the first trial is spoofed, the second is not.
    assert average_precision([1.0], [0.0, 2.0], positive="bonafide") == pytest.approx(1 / 2)
    assert average_precision([1.0, 2.0], [0.0]) == average_precision([1.0, 2.0], [0.0], positive="bonafide") == 1.0


@quick
@given(some_scores, some_scores)
def test_roc_auc_counts_pairs(bonafide: list[int], spoof: list[int]) -> None:
    """How often a bona fide trial scores above a spoofed one, ties counting half."""
    pairs = [(b > s) + (b == s) / 2 for b, s in itertools.product(bonafide, spoof)]
    assert roc_auc(bonafide, spoof) == pytest.approx(np.mean(pairs))


# --- the mean over sources --------------------------------------------------------------------------------------

some_trials = st.lists(st.tuples(st.integers(-6, 6), st.booleans(), st.sampled_from("abcd")), min_size=1, max_size=60)


@quick
@given(some_trials)
def test_mean_over_sources_is_that_of_the_rates_of_each(trials: list[tuple[int, bool, str]]) -> None:
    """The rate of each source that has both classes, computed alone."""
    rates = []
    for source in "abcd":
        bonafide, spoof = (
            [x for x, truth, name in trials if name == source and truth is kind] for kind in (True, False)
        )
        if bonafide and spoof:
            rates.append(eer(bonafide, spoof).rate)
    scores, truth, sources = zip(*trials, strict=True)
    found = mean_eer(scores, truth, sources)
    assert found == (pytest.approx(np.mean(rates), abs=1e-15) if rates else None)
