"""Figures of hard decisions at one threshold, from scikit-learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deepfake_audio.errors import MetricError
from deepfake_audio.metrics.trials import checked

if TYPE_CHECKING:
    import numpy.typing as npt


@dataclass(frozen=True)
class ClassFigures:
    """What hard decisions give where one of the two classes is the positive one."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class Decisions:
    """
    What hard decisions at one threshold give.

    Attributes:
        threshold: A trial is accepted as bona fide from this score on.
        accuracy: Share of all trials decided rightly.
        balanced_accuracy: Mean of that share of either class.
        frr: False rejection rate, the share of bona fide trials rejected: genuine speech called deepfake.
        far: False acceptance rate, the share of spoofed trials accepted: deepfakes called genuine.
        spoof: Where spoof is the positive class.
        bonafide: Where bona fide is the positive class.
        n_bonafide_accepted: The confusion matrix, in counts.
        n_bonafide_rejected: As above.
        n_spoof_accepted: As above.
        n_spoof_rejected: As above.
    """

    threshold: float
    accuracy: float
    balanced_accuracy: float
    frr: float
    far: float
    spoof: ClassFigures
    bonafide: ClassFigures
    n_bonafide_accepted: int
    n_bonafide_rejected: int
    n_spoof_accepted: int
    n_spoof_rejected: int


def decisions(bonafide: npt.ArrayLike, spoof: npt.ArrayLike, threshold: float) -> Decisions:
    """
    Return what decisions at a fixed threshold give.

    A precision that no trial decides, because none was called that class, is 0, and so is its F1.

    Args:
        bonafide: Scores of bona fide trials, shape (n_bonafide,).
        spoof: Scores of spoofed trials, shape (n_spoof,).
        threshold: A trial is accepted as bona fide when ``score >= threshold``.

    Raises:
        MetricError: If either is empty or holds NaN or infinity, or the threshold is NaN.
    """
    from sklearn.metrics import (
        accuracy_score,
        balanced_accuracy_score,
        confusion_matrix,
        precision_recall_fscore_support,
    )

    b, s = checked("bona fide", bonafide), checked("spoofed", spoof)
    if np.isnan(threshold):
        raise MetricError("a threshold of NaN decides nothing")
    truth = np.repeat([0, 1], [len(b), len(s)])
    called = (np.concatenate([b, s]) < threshold).astype(int)
    figures = precision_recall_fscore_support(truth, called, labels=[0, 1], zero_division=0.0)[:3]
    of_bonafide, of_spoof = (ClassFigures(*map(float, column)) for column in zip(*figures, strict=True))
    (b_accepted, b_rejected), (s_accepted, s_rejected) = confusion_matrix(truth, called, labels=[0, 1]).tolist()
    return Decisions(
        threshold=threshold,
        accuracy=float(accuracy_score(truth, called)),
        balanced_accuracy=float(balanced_accuracy_score(truth, called)),
        frr=b_rejected / len(b),
        far=s_accepted / len(s),
        spoof=of_spoof,
        bonafide=of_bonafide,
        n_bonafide_accepted=b_accepted,
        n_bonafide_rejected=b_rejected,
        n_spoof_accepted=s_accepted,
        n_spoof_rejected=s_rejected,
    )
