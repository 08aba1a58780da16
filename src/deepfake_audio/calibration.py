"""
From a model's raw scores to evidence and probability.

A raw score is any number that is higher for genuine speech. ``Calibration`` maps it to a natural log-likelihood ratio

    llr_genuine = ln p(score | genuine) / p(score | deepfake)

and ``p_deepfake`` is the one place where that, and a stated prior, become a probability. Calibration is per file: what
is mapped is the mean over a file's windows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from deepfake_audio.errors import TrainingError

if TYPE_CHECKING:
    import numpy.typing as npt

Number = TypeVar("Number", float, "npt.NDArray[np.float64]")

PRIOR_DEEPFAKE = 0.5

# Thresholds that a model file stores, and what each is for.
OPERATING_POINTS = {
    "balanced": "both errors cost the same",
    "few-false-alarms": "at most 1 % of the genuine recordings held out from training were called deepfake",
    "few-misses": "at most 5 % of the deepfakes held out from training were called genuine",
}
_FALSE_ALARMS, _MISSES = 0.01, 0.05
# This share of the recordings held out may be taken for something unlike them all. They are speech of groups that were
# not learnt from, so about as many verdicts on new speech are lost; a larger share would find more that is no speech.
_UNFAMILIAR = 0.01
_UNLIKE_SPEECH = 0.02


@dataclass(frozen=True)
class Calibration:
    """The affine map ``llr = scale * score + offset``; ``scale`` is positive, so it never turns a ranking around."""

    scale: float
    offset: float

    def llr(self, score: Number) -> Number:
        """Return the log-likelihood ratio of a raw score, or of many."""
        return score * self.scale + self.offset


def fit_calibration(
    scores: npt.NDArray[np.float64], is_genuine: npt.NDArray[np.bool_], weights: npt.NDArray[np.float64]
) -> Calibration:
    """
    Fit the map by logistic regression, both classes weighing the same.

    The targets are Platt's ``(n + 1) / (n + 2)`` instead of 0 and 1, which keeps the scale finite where the classes do
    not overlap (Platt 1999, "Probabilistic outputs for support vector machines", section 2.2).

    Args:
        scores: One raw score per file, shape (n,).
        is_genuine: The truth, shape (n,).
        weights: How much each file counts within its class, shape (n,).

    Raises:
        TrainingError: If a class is missing, or if higher scores do not mean genuine.
    """
    from sklearn.linear_model import LogisticRegression

    if is_genuine.all() or not is_genuine.any():
        raise TrainingError("calibration needs genuine and spoofed recordings among those held out for it")
    share = np.where(is_genuine, weights / weights[is_genuine].sum(), weights / weights[~is_genuine].sum())
    n_class = np.where(is_genuine, is_genuine.sum(), (~is_genuine).sum())
    sure = (n_class + 1.0) / (n_class + 2.0)
    # A soft target is two samples: one of either class, with the target's two parts as their weights.
    # The solver wants numbers around 0 and 1; equal scores, of which nothing can be learnt, all become 0.
    centre, spread = float(np.median(scores)), float(scores.std()) or 1.0
    features = (np.concatenate([scores, scores])[:, np.newaxis] - centre) / spread
    targets = np.concatenate([is_genuine, ~is_genuine])
    parts = np.concatenate([share * sure, share * (1 - sure)]) * len(scores)
    model = LogisticRegression(C=1e6).fit(features, targets, sample_weight=parts)
    scale = float(model.coef_[0, 0]) / spread
    if scale <= 0:
        raise TrainingError(
            "on the recordings held out for calibration the model does no better than chance; "
            "it needs more, or more varied, training data"
        )
    return Calibration(scale, float(model.intercept_[0]) - scale * centre)


def fit_weights(
    scores: npt.NDArray[np.float64], is_genuine: npt.NDArray[np.bool_], weights: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """
    Return how much each of several scores counts in their sum, by logistic regression; none counts negatively.

    Args:
        scores: Of each file by each member, shape (n, n_members).
        is_genuine: The truth, shape (n,).
        weights: How much each file counts, shape (n,).

    Returns:
        Shape (n_members,); a single member has the weight 1, one whose scores are all the same has 0.

    Raises:
        TrainingError: If no member counts.
    """
    from scipy.optimize import minimize

    n_members = scores.shape[1]
    if n_members == 1:
        return np.ones(1)
    varies = np.ptp(scores, axis=0) > 0
    spread = np.where(varies, scores.std(axis=0), 1.0)
    signs = np.where(is_genuine, 1.0, -1.0)[:, np.newaxis]
    signed = np.hstack([(scores - scores.mean(axis=0)) / spread, np.ones((len(scores), 1))]) * signs
    share = np.where(is_genuine, weights / weights[is_genuine].sum(), weights / weights[~is_genuine].sum())

    def loss(factors: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        margins = signed @ factors
        gradient = -(share / (1 + np.exp(np.clip(margins, -700, 700)))) @ signed
        return float(share @ np.logaddexp(0, -margins)), gradient

    start = np.append(np.full(n_members, 1 / n_members), 0.0)
    bounds = [(0.0, None if some else 0.0) for some in varies] + [(None, None)]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x[:-1]
    if not found.any():
        raise TrainingError("no member of the model does better than chance on the recordings held out")
    return np.asarray(found / spread, dtype=np.float64)


def operating_points(genuine: npt.NDArray[np.float64], deepfake: npt.NDArray[np.float64]) -> dict[str, float]:
    """
    Return the thresholds of ``OPERATING_POINTS``.

    Args:
        genuine: Log-likelihood ratios of genuine recordings that were held out, shape (n,).
        deepfake: The same of deepfakes.
    """
    # A recording at the threshold is called genuine, so one more deepfake than may be missed must lie below it.
    lowest = np.sort(genuine)[int(_FALSE_ALARMS * len(genuine))]
    highest = np.nextafter(np.sort(deepfake)[::-1][int(_MISSES * len(deepfake))], np.inf)
    return {
        "balanced": 0.0,
        "few-false-alarms": min(0.0, float(lowest)),
        "few-misses": max(0.0, float(highest)),
    }


def familiarity_threshold(familiarity: npt.NDArray[np.float64], *, learnt: bool = False) -> float:
    """
    Return below what a recording is too unlike those that were learnt from.

    Args:
        familiarity: Of the recordings held out, shape (n,).
        learnt: Whether it was learnt from recordings without speech too, and so means enough to refuse more.
    """
    share = _UNLIKE_SPEECH if learnt else _UNFAMILIAR
    # The lower of two neighbours: never more than the share lies below it.
    return float(np.percentile(familiarity, 100 * share, method="lower"))


def p_deepfake(llr_genuine: float, prior: float = PRIOR_DEEPFAKE) -> float:
    """
    Return the probability of a deepfake, by Bayes' rule.

    Args:
        llr_genuine: Natural log-likelihood ratio, higher = more genuine.
        prior: The share of deepfakes that one expects before listening, in (0, 1).

    Examples:
        >>> p_deepfake(0.0)
        0.5
        >>> round(p_deepfake(-2.0), 3)
        0.881
    """
    log_odds = math.log(prior / (1 - prior)) - llr_genuine
    smaller = math.exp(-abs(log_odds))  # never overflows
    return (1 if log_odds > 0 else smaller) / (1 + smaller)


def llr_at(p: float, prior: float = PRIOR_DEEPFAKE) -> float:
    """
    Return the log-likelihood ratio at which ``p_deepfake`` is ``p``, a number in (0, 1).

    Examples:
        >>> llr_at(0.5)
        0.0
    """
    return math.log(prior / (1 - prior)) - math.log(p / (1 - p))
