"""
Scored trials, sorted once, and how often each was drawn.

Every figure that depends on the order of the scores alone is a function of counts: how many trials of either class have
each score. ``Trials`` sorts and groups; ``Draw`` holds the counts of one bootstrap draw, or of the trials as they are,
where each was drawn once. That makes a draw cheap: nothing is sorted again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from deepfake_audio.errors import MetricError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
Names = Sequence[str] | npt.NDArray[np.str_]


@dataclass(frozen=True, eq=False)
class Trials:
    """
    Trials in ascending order of their scores.

    Attributes:
        scores: Ascending, shape (n,).
        is_bonafide: The truth, in the same order.
        order: Which of the trials, as they were given, comes where; shape (n,).
        starts: Where each group of tied scores begins, shape (n_groups,).
    """

    scores: FloatArray
    is_bonafide: BoolArray
    order: IntArray
    starts: IntArray

    @classmethod
    def of(cls, scores: npt.ArrayLike, is_bonafide: npt.ArrayLike) -> Trials:
        """
        Sort the trials.

        Args:
            scores: Higher = more bona fide, shape (n,).
            is_bonafide: The truth, shape (n,).

        Raises:
            MetricError: If the two differ in length, a class is missing, or a score is NaN or infinite.
        """
        s, truth = np.asarray(scores, dtype=np.float64).ravel(), np.asarray(is_bonafide, dtype=bool).ravel()
        if s.shape != truth.shape:
            raise MetricError(f"{s.size} scores do not match {truth.size} trials")
        checked("bona fide", s[truth])
        checked("spoofed", s[~truth])
        order = np.argsort(s, kind="stable")
        s = s[order]
        return cls(s, truth[order], order, np.flatnonzero(np.append(True, s[1:] != s[:-1])))

    @classmethod
    def of_classes(cls, bonafide: npt.ArrayLike, spoof: npt.ArrayLike) -> Trials:
        """
        Sort the trials of two classes.

        Raises:
            MetricError: If either is empty or holds NaN or infinity.
        """
        b, s = checked("bona fide", bonafide), checked("spoofed", spoof)
        return cls.of(np.concatenate([b, s]), np.repeat([True, False], [len(b), len(s)]))

    @property
    def group_scores(self) -> FloatArray:
        """The distinct scores, ascending, shape (n_groups,)."""
        return self.scores[self.starts]

    @property
    def once(self) -> Draw:
        """The trials as they are."""
        return Draw(self, np.ones(len(self.scores), dtype=np.int64))

    def first_accepted(self, threshold: float) -> int:
        """Return the index of the lowest group at or above a threshold; ``Draw.frr`` and ``far`` there belong to it."""
        return int(np.searchsorted(self.group_scores, threshold, side="left"))

    def highest_rejected(self, boundary: int) -> float:
        """Return the score that the ASVspoof packages give as the threshold between two groups, see ``Draw``."""
        return float(self.group_scores[boundary - 1]) if boundary else float(self.scores[0]) - _BELOW_ALL


# So far below the lowest score the packages' first threshold is.
_BELOW_ALL = 0.001


@dataclass(frozen=True, eq=False)
class Draw:
    """
    Trials, each with how often it was drawn.

    Between two groups of tied scores there is a boundary: those below it are rejected, those above it accepted.
    Boundary 0 accepts all trials, the last one, n_groups, rejects all.

    Attributes:
        trials: What was drawn from.
        weights: How often, in the order of the sorted trials, integers >= 0, shape (n,).
    """

    trials: Trials
    weights: IntArray

    @cached_property
    def bonafide(self) -> IntArray:
        """Bona fide trials in each group, shape (n_groups,)."""
        return np.add.reduceat(self.weights * self.trials.is_bonafide, self.trials.starts)

    @cached_property
    def spoof(self) -> IntArray:
        """Spoofed trials in each group, shape (n_groups,)."""
        return np.add.reduceat(self.weights, self.trials.starts) - self.bonafide

    @cached_property
    def bonafide_rejected(self) -> IntArray:
        """Bona fide trials below each boundary, shape (n_groups + 1,)."""
        return np.append(0, np.cumsum(self.bonafide))

    @cached_property
    def spoof_rejected(self) -> IntArray:
        """Spoofed trials below each boundary, shape (n_groups + 1,)."""
        return np.append(0, np.cumsum(self.spoof))

    @cached_property
    def n_bonafide(self) -> int:
        """All bona fide trials."""
        return int(self.bonafide_rejected[-1])

    @cached_property
    def n_spoof(self) -> int:
        """All spoofed trials."""
        return int(self.spoof_rejected[-1])

    @cached_property
    def frr(self) -> FloatArray:
        """Share of bona fide trials rejected at each boundary, shape (n_groups + 1,)."""
        return self.bonafide_rejected / self.n_bonafide

    @cached_property
    def far(self) -> FloatArray:
        """Share of spoofed trials accepted at each boundary, shape (n_groups + 1,)."""
        # Counted first, then divided: `1 - n / m` is rounded otherwise, and then another minimum may come first.
        return (self.n_spoof - self.spoof_rejected) / self.n_spoof

    @cached_property
    def hull(self) -> tuple[FloatArray, FloatArray]:
        """
        FRR and FAR at the corners of the convex hull of the ROC curve, from accept-all to reject-all.

        Between two corners lies what one block of the pool-adjacent-violators algorithm pools (Fawcett and
        Niculescu-Mizil 2007, "PAV and the ROC convex hull").
        """
        from sklearn.isotonic import isotonic_regression

        n = self.bonafide + self.spoof
        (drawn,) = np.nonzero(n)
        pooled = isotonic_regression(self.bonafide[drawn] / n[drawn], sample_weight=n[drawn])
        corners = np.concatenate([[0], drawn[np.flatnonzero(np.diff(pooled))] + 1, [len(n)]])
        return self.frr[corners], self.far[corners]


# A figure of one draw; and what prepares that figure, once, for the trials that are drawn from.
Figure = Callable[[Draw], float]
Measure = Callable[[Trials], Figure]


def checked(name: str, scores: npt.ArrayLike) -> FloatArray:
    """
    Return the scores of one class as a vector.

    Raises:
        MetricError: If there are none, or one is NaN or infinite.
    """
    vector = np.asarray(scores, dtype=np.float64).ravel()
    if len(vector) == 0:
        raise MetricError(f"there are no {name} trials, so no error rate is defined")
    if not np.isfinite(vector).all():
        raise MetricError(f"{name} scores hold NaN or infinity")
    return vector
