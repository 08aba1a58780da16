"""The plots of an evaluation, by name; sections say where each belongs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deepfake_audio import plots
from deepfake_audio.calibration import p_deepfake
from deepfake_audio.metrics import Difference

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from deepfake_audio.evaluation import Breakdown, Trials
    from deepfake_audio.reports.assessment import Assessment
    from deepfake_audio.training import TrainingRun

# Bars of fewer than two parts say no more than the table does.
_LEAST_BARS = 2


def pictures(
    assessment: Assessment, models: Mapping[str, Trials], margins: Mapping[str, float]
) -> Iterator[tuple[str, Any]]:
    """
    Yield each plot as its name and a matplotlib figure.

    Args:
        assessment: What was found.
        models: Name -> trials, that of ``assessment`` first.
        margins: Name -> how close to the threshold a score is inconclusive, of those that are known.
    """
    subject, trials = next(iter(models.items()))
    margin = margins.get(subject, 0.0)
    curves = {name: (each.bonafide, each.spoof) for name, each in models.items()}
    thresholds = {name: each.threshold for name, each in models.items()}
    evaluation = assessment.evaluation
    for name, draw in (("roc", plots.roc), ("det", plots.det), ("pr", plots.precision_recall)):
        yield name, draw(plots.new_axis(), curves).figure
    yield "coverage", plots.coverage(plots.new_axis(), curves, thresholds, margins).figure
    marks = {"threshold": trials.threshold, "at the EER": evaluation.at_eer.threshold}
    yield "histogram", plots.score_histogram(plots.new_axis(), trials.bonafide, trials.spoof, marks, margin).figure
    yield "confusion", _confusion(assessment)
    p = [p_deepfake(score) for score in trials.scores.tolist()]
    yield "reliability", plots.reliability(plots.new_axis(), p, ~trials.is_bonafide).figure
    for breakdown in evaluation.breakdowns:
        if sum(part.eer is not None for part in breakdown.parts) >= _LEAST_BARS:
            yield f"eer-by-{breakdown.name}", _bars(breakdown)
    if assessment.stress:
        yield "stress", _stress(assessment)
    if assessment.comparison is not None:
        yield "difference", _difference(assessment)


def training_curves(run: TrainingRun) -> Any | None:
    """Return the curves of loss and metrics of a training run; None where nothing was learnt epoch by epoch."""
    histories = [facts["history"] for facts in run.history if "history" in facts]
    if not histories:
        return None
    counts = run.metadata.training["data"]["all"]
    trials = (counts["bonafide"], counts["spoof"])
    return plots.training_curves(plots.new_axis(), histories, trials, title=f"Training of {run.metadata.name}").figure


def _confusion(assessment: Assessment) -> Any:
    at, verdicts = assessment.evaluation.at_threshold, assessment.evaluation.verdicts
    if verdicts is not None:
        called = tuple(verdicts.counts)
        counts = [[verdicts.counts[name][truth] for name in called] for truth in (0, 1)]
        return plots.confusion_matrix(plots.new_axis(), counts, called, threshold=at.threshold).figure
    counts = [[at.n_bonafide_accepted, at.n_bonafide_rejected], [at.n_spoof_accepted, at.n_spoof_rejected]]
    return plots.confusion_matrix(plots.new_axis(), counts, threshold=at.threshold).figure


def _bars(breakdown: Breakdown) -> Any:
    shown = [(part, part.eer) for part in breakdown.parts if part.eer is not None]
    return plots.bars(
        plots.new_axis(),
        [part.name or "(unknown)" for part, _ in shown],
        [eer.value for _, eer in shown],
        [None if eer.low is None or eer.high is None else (eer.low, eer.high) for _, eer in shown],
        [(part.n_bonafide, part.n_spoof) for part, _ in shown],
        title=f"Equal error rate by {breakdown.name}",
    ).figure


def _stress(assessment: Assessment) -> Any:
    told = {
        row.condition: (row.eer, row.frr, row.far)
        for row in assessment.stress
        if row.eer is not None and row.frr is not None and row.far is not None
    }
    clean = assessment.stress[0]
    return plots.stress_heat_map(plots.new_axis(), told, (clean.n_bonafide, clean.n_spoof)).figure


def _difference(assessment: Assessment) -> Any:
    """Draw the differences of the second model, in percentage points where a figure is a rate."""
    from deepfake_audio.reports.assessment import FIGURES

    comparison = assessment.comparison
    assert comparison is not None  # noqa: S101 - for the type checker
    first, second = comparison.models[:2]
    rates = {
        FIGURES[name][0]: Difference(
            change.value,
            change.value if change.low is None else change.low,
            change.value if change.high is None else change.high,
        )
        for name, change in second.differences.items()
        if FIGURES[name][1] and name != "balanced_accuracy"
    }
    n = (comparison.n_bonafide, comparison.n_spoof)
    return plots.difference(plots.new_axis(), rates, (first.name, second.name), n).figure
