"""
Bootstrap confidence intervals (Efron and Tibshirani 1993, "An introduction to the bootstrap", chapters 8 and 13).

Recordings of one speaker or source resemble each other, so they are drawn together: as many groups as there are, with
replacement, each with all of its trials (the cluster bootstrap; Davison and Hinkley 1997, section 3.8). An interval
lies between the percentiles of what the draws gave. A draw weights the trials instead of copying them.

A weight of w is w equal trials, in every figure: a draw gives what the repeated trials would give. That goes for the
walk of the equal error rate too, which may end between copies of the same trial.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deepfake_audio.errors import MetricError
from deepfake_audio.metrics.trials import Draw, Trials

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import numpy.typing as npt

    from deepfake_audio.metrics.trials import FloatArray, IntArray, Measure, Names

    # The figures of one draw, given how often it holds each trial; NaN where one does not exist.
    Figures = Callable[[IntArray], FloatArray]

# More draws than so many for each that counts are not tried.
_MOST_DRAWS = 20


@dataclass(frozen=True)
class Interval:
    """Where a figure lies."""

    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """
    By how much a figure of B differs from that of A.

    Attributes:
        value: B minus A, of the trials as they are.
        low: Lower end of its interval.
        high: Upper end; where 0 lies outside, the two differ by more than the choice of the trials explains.
    """

    value: float
    low: float
    high: float


def measured(scores: npt.ArrayLike, is_bonafide: npt.ArrayLike, measures: Mapping[str, Measure]) -> dict[str, float]:
    """
    Return each figure of the trials as they are.

    Args:
        scores: Higher = more bona fide, shape (n,).
        is_bonafide: The truth, shape (n,).
        measures: By name; see ``metrics.measures``.

    Raises:
        MetricError: If a class or a figure is missing, or a score is NaN or infinite.
    """
    return dict(zip(measures, _of_all(_figures(scores, is_bonafide, measures), measures, np.size(scores)), strict=True))


def bootstrap(
    scores: npt.ArrayLike,
    is_bonafide: npt.ArrayLike,
    groups: Names | None,
    measures: Mapping[str, Measure],
    *,
    n_resamples: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> dict[str, Interval]:
    """
    Return an interval of each figure.

    A draw in which a class or a figure is missing is drawn anew. For part of the trials, call this with them alone: all
    bona fide trials and those of one attack, say.

    Args:
        scores: Higher = more bona fide, shape (n,).
        is_bonafide: The truth, shape (n,).
        groups: The source or speaker of each trial, shape (n,); None draws single trials.
        measures: By name; see ``metrics.measures``.
        n_resamples: How many draws count.
        seed: The same seed gives the same draws.
        confidence: The share of the draws between low and high.

    Raises:
        MetricError: If a class or a figure is missing in the trials or in nearly all draws, if a score is NaN or
            infinite, if there is but one group, or if lengths or settings do not fit.
    """
    figures = _figures(scores, is_bonafide, measures)
    _, low, high = _resampled(figures, measures, _Draws.of(groups, np.size(scores), n_resamples, seed), confidence)
    return {name: Interval(*ends) for name, *ends in zip(measures, low, high, strict=True)}


def paired_bootstrap(
    scores_a: npt.ArrayLike,
    scores_b: npt.ArrayLike,
    is_bonafide: npt.ArrayLike,
    groups: Names | None,
    measures: Mapping[str, Measure],
    measures_b: Mapping[str, Measure] | None = None,
    *,
    n_resamples: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> dict[str, Difference]:
    """
    Return by how much the figures of two systems differ on the same trials, and an interval of that.

    Both are given the same draws, so that what makes a draw hard for both cancels out.

    Args:
        scores_a: Of system A, higher = more bona fide, shape (n,).
        scores_b: Of system B, for the same trials in the same order.
        is_bonafide: The truth, shape (n,).
        groups: The source or speaker of each trial, shape (n,); None draws single trials.
        measures: By name; see ``metrics.measures``.
        measures_b: Those of B by the same names, where they differ: its threshold is another, say.
        n_resamples: How many draws count.
        seed: The same seed gives the same draws.
        confidence: The share of the draws between low and high.

    Raises:
        MetricError: As ``bootstrap`` does; also if the systems do not have the same trials and names of measures.
    """
    measures_b = measures if measures_b is None else measures_b
    if measures.keys() != measures_b.keys():
        raise MetricError(f"the measures of A and B differ: {sorted(measures)} and {sorted(measures_b)}")
    of_a = _figures(scores_a, is_bonafide, measures)
    of_b = _figures(scores_b, is_bonafide, {name: measures_b[name] for name in measures})
    draws = _Draws.of(groups, np.size(is_bonafide), n_resamples, seed)
    found = _resampled(lambda times: of_b(times) - of_a(times), measures, draws, confidence)
    return {name: Difference(*parts) for name, *parts in zip(measures, *found, strict=True)}


def _figures(scores: npt.ArrayLike, is_bonafide: npt.ArrayLike, measures: Mapping[str, Measure]) -> Figures:
    trials = Trials.of(scores, is_bonafide)
    figures = [measure(trials) for measure in measures.values()]

    def values(times: IntArray) -> FloatArray:
        draw = Draw(trials, times[trials.order])
        if not (draw.n_bonafide and draw.n_spoof):
            return np.full(len(figures), np.nan)
        return np.array([figure(draw) for figure in figures], dtype=np.float64)

    return values


@dataclass(frozen=True, eq=False)
class _Draws:
    """
    Which trials are drawn together, and how often to draw.

    Attributes:
        group: The number of each trial's group, counted from 0, shape (n,).
        n_groups: How many groups there are.
        n: How many draws are wanted.
        seed: The same seed gives the same draws.
    """

    group: IntArray
    n_groups: int
    n: int
    seed: int

    @classmethod
    def of(cls, groups: Names | None, n_trials: int, n: int, seed: int) -> _Draws:
        if n < 1:
            raise MetricError(f"{n} resamples give no interval")
        if groups is None:
            return cls(np.arange(n_trials), n_trials, n, seed)
        if len(groups) != n_trials:
            raise MetricError(f"{len(groups)} groups do not match {n_trials} trials")
        names, group = np.unique(np.asarray(groups), return_inverse=True)
        if len(names) == 1:
            raise MetricError(f"all trials are of one group, {names[0]!s}, and so no draw would differ from another")
        return cls(group, len(names), n, seed)

    def __iter__(self) -> Iterator[IntArray]:
        """Yield how often each trial was drawn, more often than wanted, since not every draw has all figures."""
        random = np.random.default_rng(self.seed)
        for _ in range(_MOST_DRAWS * self.n):
            times = np.bincount(random.integers(self.n_groups, size=self.n_groups), minlength=self.n_groups)
            yield times[self.group]


def _resampled(
    figures: Figures, names: Iterable[str], draws: _Draws, confidence: float
) -> tuple[list[float], list[float], list[float]]:
    """Return the figures of all trials, and both ends of their intervals."""
    if not 0 < confidence < 1:
        raise MetricError(f"the confidence must lie between 0 and 1, not {confidence}")
    value = _of_all(figures, names, len(draws.group))
    with_all = (found for found in map(figures, draws) if np.isfinite(found).all())
    drawn = list(itertools.islice(with_all, draws.n))
    if len(drawn) < draws.n:
        raise MetricError(
            f"{len(drawn)} of {_MOST_DRAWS * draws.n} draws had all figures: a class is in too few of "
            f"the {draws.n_groups} groups for an interval"
        )
    low, high = np.quantile(np.array(drawn), [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return value, low.tolist(), high.tolist()


def _of_all(figures: Figures, names: Iterable[str], n: int) -> list[float]:
    """Return the figures of each trial once."""
    value = figures(np.ones(n, dtype=np.int64))
    if missing := [name for name, of_all in zip(names, value, strict=True) if not np.isfinite(of_all)]:
        raise MetricError(f"these trials do not have the figure {missing[0]}")
    return list(value.tolist())
