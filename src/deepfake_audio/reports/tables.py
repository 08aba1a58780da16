"""Results for people: tables on a terminal or in a text file."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from deepfake_audio.detector import REASONS, Detection, Skipped
from deepfake_audio.errors import printable
from deepfake_audio.runs import differences

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from deepfake_audio.evaluation import Covered, Evaluation, Part
    from deepfake_audio.runs import RunRecord
    from deepfake_audio.training import TrainingRun

_STYLES = {"genuine": "bold green", "deepfake": "bold red", "inconclusive": "bold yellow", "no_speech": "dim"}
_WIDTH_WITHOUT_TERMINAL = 120
_MIN_TRIALS_SHOWN = 5


def console_for(stream: TextIO) -> Console:
    """Return a console that colours only on a terminal and does not squeeze tables into 80 columns elsewhere."""
    on_terminal = stream.isatty()
    width = None if on_terminal else _WIDTH_WITHOUT_TERMINAL
    return Console(file=stream, force_terminal=on_terminal, width=width, highlight=False)


def write_table(results: Iterable[Detection | Skipped], stream: TextIO, *, segments: bool) -> None:
    """Write one row per recording, and with ``segments`` one per window below it."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("recording", overflow="fold")
    table.add_column("verdict", overflow="fold", no_wrap=True)
    table.add_column("P(deepfake)", overflow="fold", justify="right")
    table.add_column("speech", overflow="fold", justify="right")
    table.add_column("note", overflow="fold")
    for result in results:
        if isinstance(result, Skipped):
            note = result.message.removeprefix(f"{printable(result.path)}: ")
            table.add_row(Text(printable(result.path)), Text("not scored", style="bold magenta"), "", "", Text(note))
            continue
        table.add_row(
            Text(printable(result.path)),
            Text(result.verdict.replace("_", " "), style=_STYLES[result.verdict]),
            _percent(result.p_deepfake),
            f"{result.speech_seconds:.1f} s",
            "; ".join(REASONS[reason] for reason in result.reasons),
        )
        if segments:
            for s in result.segments:
                table.add_row(f"  {s.start:7.2f} - {s.end:7.2f} s", "", _percent(s.p_deepfake), "", "")
    console_for(stream).print(table)


def write_evaluation(evaluation: Evaluation, stream: TextIO, title: str) -> None:
    """Write the figures of an evaluation: overall, of the most certain, per source, per system."""
    console = console_for(stream)
    at = evaluation.decisions
    overall = Table(box=None, pad_edge=False, show_header=False, title=Text(printable(title)), title_justify="left")
    overall.add_column(justify="left", overflow="fold")
    overall.add_column(justify="right", overflow="fold")
    for name, value in (
        ("genuine / deepfake recordings", f"{evaluation.n_bonafide:,} / {evaluation.n_spoof:,}"),
        ("no speech / not readable", f"{evaluation.n_no_speech:,} / {len(evaluation.skipped):,}"),
        ("equal error rate (EER)", _percent(evaluation.eer.rate)),
        ("  its threshold (llr_genuine)", f"{evaluation.eer.threshold:.3f}"),
        ("  mean over sources with both classes", _percent(evaluation.macro_eer)),
        ("ROC AUC", f"{evaluation.roc_auc:.4f}"),
        ("Cllr (bits)", f"{evaluation.cllr:.3f}"),
        ("expected calibration error", f"{evaluation.calibration_error:.3f}"),
        (f"at the model's own threshold ({at.threshold:.3f}):", ""),
        ("  accuracy", _percent(at.accuracy)),
        ("  balanced accuracy", _percent(at.balanced_accuracy)),
        (
            "  precision / recall / F1 of deepfake",
            f"{at.spoof.precision:.3f} / {at.spoof.recall:.3f} / {at.spoof.f1:.3f}",
        ),
        ("  genuine called deepfake", _percent(at.frr)),
        ("  deepfake called genuine", _percent(at.far)),
        ("verdicts that are not inconclusive", _percent(evaluation.coverage)),
        ("  accuracy of those", _percent(evaluation.accuracy_when_conclusive)),
    ):
        overall.add_row(Text(name), value)
    console.print(overall)
    console.print(_most_certain_table(evaluation.most_certain))
    if len(evaluation.sources) > 1:
        console.print(_parts_table("source", evaluation.sources))
    if len(evaluation.systems) > 1:
        shown = [part for part in evaluation.systems if part.n_spoof >= _MIN_TRIALS_SHOWN]
        if shown:
            console.print(_parts_table("system", shown))
        if hidden := len(evaluation.systems) - len(shown):
            console.print(f"(systems with fewer than {_MIN_TRIALS_SHOWN} recordings: {hidden}, see --format json)")


def _most_certain_table(covered: Iterable[Covered]) -> Table:
    title = "\nif only the most certain got a verdict"
    table = Table(box=None, pad_edge=False, header_style="bold", title=title, title_justify="left")
    for name in ("share", "recordings", "|llr - threshold|", "wrong"):
        table.add_column(name, justify="right", overflow="fold")
    for part in covered:
        table.add_row(f"{100 * part.share:.0f} %", f"{part.n:,}", f"from {part.margin:.3f}", _percent(part.error_rate))
    return table


def _parts_table(kind: str, parts: Iterable[Part]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", title=f"\nper {kind}", title_justify="left")
    table.add_column(kind, overflow="fold")
    for name in ("genuine", "deepfake", "EER", "genuine called deepfake", "deepfake called genuine"):
        table.add_column(name, justify="right", overflow="fold")
    for part in parts:
        table.add_row(
            Text(printable(part.name) or "(unnamed)"),
            str(part.n_bonafide),
            str(part.n_spoof),
            _percent(part.eer),
            _percent(part.frr),
            _percent(part.far),
        )
    return table


def write_training(run: TrainingRun, stream: TextIO) -> None:
    """Write what a training run did."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    data, held_out = run.metadata.training["data"], run.held_out
    table.add_row("recordings", _counts(data["all"]))
    table.add_row("left out as unusable", f"{len(run.bad):,}")
    for number, (counts, rate) in enumerate(zip(data["parts"], held_out.parts, strict=True), start=1):
        table.add_row(f"held out, part {number}", f"{_counts(counts)}: EER {_percent(rate)}")
    table.add_row("on what was held out", f"{held_out.n:,} recordings")
    for name, value in (
        ("  EER / mean over sources", f"{_percent(held_out.eer)} / {_percent(held_out.mean_eer) or 'none has both'}"),
        ("  balanced accuracy", _percent(held_out.balanced_accuracy)),
        ("  Cllr / calibration error", f"{held_out.cllr:.3f} bits / {held_out.calibration_error:.3f}"),
        ("ONNX equals the original within", f"{run.metadata.training['onnx_difference']:g}"),
        ("seconds", ", ".join(f"{name} {seconds:.0f}" for name, seconds in run.seconds.items())),
    ):
        table.add_row(name, value)
    if run.model:
        table.add_row("model", Text(f"{run.model} ({run.metadata.name}, SHA-256 {run.sha256[:16]}...)"))
    console_for(stream).print(table)


def _counts(counts: dict[str, int]) -> str:
    return f"{counts['bonafide']:,} genuine, {counts['spoof']:,} deepfake, {counts['sources']:,} sources"


def write_runs(records: Sequence[RunRecord], stream: TextIO) -> None:
    """Write the table of training runs, and below it what differs between their recipes."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("run")
    table.add_column("name", overflow="fold")
    for name in ("recordings", "EER", "per source", "balanced accuracy", "Cllr", "calibration error", "seconds"):
        table.add_column(name, justify="right")
    for number, record in enumerate(records, start=1):
        held_out = record.held_out
        table.add_row(
            str(number),
            Text(printable(str(record.recipe["name"]))),
            f"{held_out['n']:,}",
            _percent(held_out["eer"]),
            _percent(held_out.get("mean_eer")),
            _percent(held_out["balanced_accuracy"]),
            f"{held_out['cllr']:.3f}",
            f"{held_out['calibration_error']:.3f}",
            f"{record.seconds:,.0f}",
        )
    console = console_for(stream)
    console.print(table)
    if len({record.fingerprint for record in records}) > 1:
        console.print("\nthe runs are of different data: their figures cannot be compared")
    for number, changed in enumerate(differences(records), start=1):
        if changed:
            words = ", ".join(f"{key}={value}" for key, value in changed.items())
            console.print(Text(f"\n{number}: {printable(words)}"))


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f} %"
