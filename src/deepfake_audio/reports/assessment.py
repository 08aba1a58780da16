"""
What one run of `evaluate` found, and what it says as a list of sections.

A section is a title, some sentences, a table and the names of plots; `documents` writes sections as text, Markdown or
HTML, so that all three say the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deepfake_audio.errors import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deepfake_audio.detector import ModelRef
    from deepfake_audio.evaluation import Breakdown, Comparison, Evaluation, Figure, Part
    from deepfake_audio.metrics import Decisions
    from deepfake_audio.shortcuts import Shortcut, ShortcutCheck
    from deepfake_audio.stress import StressRow

# Systems with fewer recordings are left out of tables: their rates say nothing. JSON has them all.
_LEAST_SHOWN = 5
# Of more parts only those with the most recordings are shown.
_MOST_SHOWN = 60


@dataclass(frozen=True)
class Assessment:
    """
    What one run of `evaluate` found.

    Attributes:
        subject: The model's name, or the score file.
        data: The data set or manifest; empty where the score file says everything.
        layout: Of the data set, or the format of the score file.
        partitions: Which parts were evaluated.
        subsets: Which subsets (ASVspoof 2021).
        model: Which model it was; None for a score file.
        evaluation: Its figures.
        comparison: With the other models, where there are any.
        stress: The same clips under changed conditions, where that was asked for.
        shortcuts: What the files give away without listening, where that was asked for.
        threshold_name: What the fixed threshold is, in words.
        command: What was typed.
        date: When, in UTC, ISO 8601.
        versions: Of this package and the libraries that computed.
    """

    subject: str
    data: str
    layout: str
    partitions: tuple[str, ...]
    subsets: tuple[str, ...]
    model: ModelRef | None
    evaluation: Evaluation
    comparison: Comparison | None = None
    stress: tuple[StressRow, ...] = ()
    shortcuts: ShortcutCheck | None = None
    threshold_name: str = "the model's own threshold"
    command: str = ""
    date: str = ""
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """What was evaluated on what."""
        where = f" on {self.data}" if self.data else ""
        part = f", partition {', '.join(self.partitions)}" if self.partitions else ""
        subset = f", subset {', '.join(self.subsets)}" if self.subsets else ""
        return printable(f"{self.subject}{where}{part}{subset}")


@dataclass(frozen=True)
class Section:
    """
    A part of a report.

    Attributes:
        title: One line.
        text: Sentences, a paragraph each, below the table.
        headers: Of the table; the first column holds words, the others figures.
        rows: Of the table, as long as ``headers`` each.
        plots: Names of plots that belong here.
    """

    title: str
    text: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    plots: tuple[str, ...] = ()


def sections(assessment: Assessment) -> Iterator[Section]:
    """Yield what is to be said, the most important first."""
    evaluation = assessment.evaluation
    yield _headline(evaluation)
    yield _decisions(evaluation, assessment.threshold_name)
    if evaluation.verdicts is not None:
        yield _verdicts(evaluation)
    yield _most_certain(evaluation)
    for breakdown in evaluation.breakdowns:
        yield _breakdown(breakdown)
    if assessment.comparison is not None:
        yield _comparison(assessment.comparison)
    if assessment.stress:
        yield _stress(assessment.stress)
    if assessment.shortcuts is not None:
        yield from _shortcuts(assessment.shortcuts)


# Name of a figure -> how it is called, and whether it is a rate in percent.
FIGURES: dict[str, tuple[str, bool]] = {
    "eer": ("equal error rate (EER)", True),
    "macro_eer": ("EER, mean over sources with both classes", True),
    "eer_hull": ("EER of the ROC convex hull", True),
    "roc_auc": ("ROC AUC", False),
    "average_precision": ("average precision of deepfake", False),
    "cllr": ("Cllr (bits)", False),
    "min_cllr": ("min Cllr (bits)", False),
    "calibration_error": ("expected calibration error", False),
    "min_dcf": ("minDCF (ASVspoof 5)", False),
    "act_dcf": ("actDCF (ASVspoof 5)", False),
    "min_tdcf": ("min t-DCF (2021)", False),
    "min_tdcf_2019": ("min t-DCF (2019)", False),
    "accuracy": ("accuracy", True),
    "balanced_accuracy": ("balanced accuracy", True),
    "frr": ("genuine called deepfake", True),
    "far": ("deepfake called genuine", True),
}
_AT_THRESHOLD = ("accuracy", "balanced_accuracy", "frr", "far")


def percent(value: float | None) -> str:
    """Return a rate with one decimal; nothing where there is none."""
    return "" if value is None else f"{100 * value:.1f} %"


def rate(value: float | None) -> str:
    """Return an error rate with two decimals, as the field gives it; nothing where there is none."""
    return "" if value is None else f"{100 * value:.2f} %"


def _told(value: float | None, *, is_rate: bool) -> str:
    if value is None:
        return ""
    return rate(value) if is_rate else f"{value:.4f}"


def _interval(figure: Figure | None, *, is_rate: bool, signed: bool = False) -> str:
    if figure is None or figure.low is None or figure.high is None:
        return ""
    sign = "+" if signed else ""
    if is_rate:
        return f"{100 * figure.low:{sign}.2f} to {100 * figure.high:{sign}.2f} %"
    return f"{figure.low:{sign}.4f} to {figure.high:{sign}.4f}"


def _headline(evaluation: Evaluation) -> Section:
    rows = [
        ("genuine / deepfake recordings", f"{evaluation.n_bonafide:,} / {evaluation.n_spoof:,}", ""),
        ("no speech (no score) / not readable", f"{evaluation.n_no_speech:,} / {len(evaluation.skipped):,}", ""),
    ]
    for name, (words, is_rate) in FIGURES.items():
        if name in evaluation.figures and name not in _AT_THRESHOLD:
            figure = evaluation.figures[name]
            rows.append((words, _told(figure.value, is_rate=is_rate), _interval(figure, is_rate=is_rate)))
    text: tuple[str, ...] = ()
    if evaluation.resampled_by == "trial":
        text = ("Intervals are of resampled recordings, one by one: too narrow where recordings are alike.",)
    elif evaluation.resampled_by is not None:
        text = (f"Intervals are of resampled recordings, a whole {evaluation.resampled_by} at a time.",)
    return Section("Overall", text, ("", "value", "95 % interval"), tuple(rows), ("histogram", "roc", "det", "pr"))


def _decisions(evaluation: Evaluation, threshold_name: str) -> Section:
    own, oracle = evaluation.at_threshold, evaluation.at_eer
    rows = [
        ("threshold (llr_genuine)", f"{own.threshold:.3f}", "", f"{oracle.threshold:.3f}"),
    ]
    for name in _AT_THRESHOLD:
        value, interval = rate(getattr(own, name)), _interval(evaluation.figures[name], is_rate=True)
        rows.append((FIGURES[name][0], value, interval, rate(getattr(oracle, name))))
    for words, of in (("deepfake", "spoof"), ("genuine", "bonafide")):
        rows.append((f"precision / recall / F1 of {words}", _class_figures(own, of), "", _class_figures(oracle, of)))
    for words, of in (("genuine", "bonafide"), ("deepfake", "spoof")):
        rows.append((f"{words} called genuine / deepfake", _called(own, of), "", _called(oracle, of)))
    return Section(
        f"Decisions at {threshold_name}, and at the one that the EER assumes to be known",
        (),
        ("", "at the threshold", "95 % interval", "at the EER"),
        tuple(rows),
        ("confusion", "reliability"),
    )


def _class_figures(decisions: Decisions, of: str) -> str:
    figures = getattr(decisions, of)
    return f"{figures.precision:.3f} / {figures.recall:.3f} / {figures.f1:.3f}"


def _called(decisions: Decisions, of: str) -> str:
    return f"{getattr(decisions, f'n_{of}_accepted'):,} / {getattr(decisions, f'n_{of}_rejected'):,}"


def _verdicts(evaluation: Evaluation) -> Section:
    verdicts = evaluation.verdicts
    assert verdicts is not None  # noqa: S101 - for the type checker
    wrong = "" if verdicts.error_rate is None else f", and {percent(verdicts.error_rate)} of these are wrong"
    return Section(
        "Verdicts",
        (f"{percent(verdicts.coverage)} of the recordings get a verdict other than inconclusive{wrong}.",),
        ("verdict", "of genuine", "share", "of deepfake", "share"),
        tuple(
            (
                name,
                f"{bonafide:,}",
                percent(bonafide / evaluation.n_bonafide),
                f"{spoof:,}",
                percent(spoof / evaluation.n_spoof),
            )
            for name, (bonafide, spoof) in verdicts.counts.items()
        ),
    )


def _most_certain(evaluation: Evaluation) -> Section:
    return Section(
        "If only the most certain got a verdict",
        (),
        ("share", "recordings", "distance from the threshold", "wrong"),
        tuple(
            (f"{100 * part.share:.0f} %", f"{part.n:,}", f"from {part.margin:.3f}", percent(part.error_rate))
            for part in evaluation.most_certain
        ),
        ("coverage",),
    )


def _breakdown(breakdown: Breakdown) -> Section:
    of_spoof = all(part.n_spoof for part in breakdown.parts) and breakdown.name in {"system", "attack", "vocoder"}
    shown = [part for part in breakdown.parts if part.n_spoof >= _LEAST_SHOWN or not of_spoof]
    text = [] if breakdown.mean_eer is None else [f"Mean of the EERs: {rate(breakdown.mean_eer)}."]
    if hidden := len(breakdown.parts) - len(shown):
        text.append(f"Not shown: {hidden} with fewer than {_LEAST_SHOWN} deepfakes; JSON has them.")
    if len(shown) > _MOST_SHOWN:
        text.append(f"Shown are the {_MOST_SHOWN} of {len(shown)} with the most recordings; JSON has all.")
        largest = sorted(shown, key=lambda part: -part.n_bonafide - part.n_spoof)[:_MOST_SHOWN]
        shown = [part for part in shown if part in largest]
    tandem = [name for name in ("min_tdcf", "min_tdcf_2019") if any(getattr(part, name) is not None for part in shown)]
    headers = (breakdown.name, "genuine", "deepfake", "EER", "95 % interval", FIGURES["frr"][0], FIGURES["far"][0])
    return Section(
        f"By {breakdown.name}",
        tuple(text),
        headers + tuple(FIGURES[name][0] for name in tandem),
        tuple(_part_row(part, tandem) for part in shown),
        (f"eer-by-{breakdown.name}",),
    )


def _part_row(part: Part, tandem: list[str]) -> tuple[str, ...]:
    return (
        printable(part.name) or "(unknown)",
        f"{part.n_bonafide:,}",
        f"{part.n_spoof:,}",
        rate(None if part.eer is None else part.eer.value),
        _interval(part.eer, is_rate=True),
        rate(part.frr),
        rate(part.far),
        *(_told(getattr(part, name), is_rate=False) for name in tandem),
    )


def _comparison(comparison: Comparison) -> Section:
    first, *others = comparison.models
    names = [name for name in FIGURES if name in first.figures]
    headers = ["", printable(first.name)]
    for other in others:
        headers += [printable(other.name), "difference", "95 % interval"]
    rows = []
    for name in names:
        words, is_rate = FIGURES[name]
        row = [words, _told(first.figures[name], is_rate=is_rate)]
        for other in others:
            change = other.differences[name]
            told = f"{100 * change.value:+.2f} %" if is_rate else f"{change.value:+.4f}"
            row += [_told(other.figures[name], is_rate=is_rate), told, _interval(change, is_rate=is_rate, signed=True)]
        rows.append(tuple(row))
    n = f"{comparison.n_bonafide:,} genuine and {comparison.n_spoof:,} deepfake"
    text = f"On the {n} recordings that all have scored. An interval without 0 is a difference that these data show."
    return Section("Compared", (text,), tuple(headers), tuple(rows), ("difference",))


def _stress(rows: tuple[StressRow, ...]) -> Section:
    return Section(
        "Under stress",
        (
            (
                "The same clips, changed. The threshold stays. The change of llr is the median of its amount; "
                "reversed are verdicts that turned from genuine to deepfake or back."
            ),
        ),
        ("condition", "EER", "change", FIGURES["frr"][0], FIGURES["far"][0], "change of llr", "verdict reversed"),
        tuple(
            (
                row.condition,
                rate(row.eer),
                "" if row.eer_change is None else f"{100 * row.eer_change:+.2f} %",
                rate(row.frr),
                rate(row.far),
                "" if row.llr_change_median is None else f"{row.llr_change_median:.2f}",
                percent(row.verdict_reversed),
            )
            for row in rows
        ),
        ("stress",),
    )


def _shortcuts(check: ShortcutCheck) -> Iterator[Section]:
    text = [
        (
            "How well properties that have nothing to do with the voice tell the classes of these data apart. Where "
            "one does, any figure above may be flattering."
        )
    ]
    if check.joint is not None:
        folds = f"cross-validated in {check.joint.n_folds} parts by {check.joint.folds}"
        text.append(f"All of them together: EER {rate(check.joint.eer)} ({folds}).")
    if check.unreadable:
        text.append(f"Not readable: {len(check.unreadable)}.")
    yield Section(
        "Shortcuts in the data",
        tuple(text),
        ("property", "genuine, median", "deepfake, median", "AUC", "by chance up to", "EER", "tells them apart"),
        tuple(
            (
                _property(one),
                _median(one.bonafide),
                _median(one.spoof),
                f"{one.auc:.3f}",
                f"{one.chance_auc:.3f}",
                rate(one.eer),
                "yes" if one.tells_apart else "no",
            )
            for one in check.shortcuts
        ),
    )


def _property(shortcut: Shortcut) -> str:
    name = "99 % of the energy below" if shortcut.name == "energy_99" else shortcut.name.replace("_", " ")
    return f"{name} ({shortcut.unit})" if shortcut.unit else name


def _median(value: float | str) -> str:
    return value if isinstance(value, str) else f"{float(f'{value:.4g}'):,g}"
