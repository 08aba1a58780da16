"""Results for people: tables on a terminal or in a text file."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from deepfake_audio.detector import REASONS, Detection, Skipped
from deepfake_audio.errors import printable
from deepfake_audio.reports.assessment import percent
from deepfake_audio.runs import differences

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from deepfake_audio.detector import Segment
    from deepfake_audio.localisation import Region
    from deepfake_audio.runs import RunRecord
    from deepfake_audio.training import TrainingRun

_STYLES = {"genuine": "bold green", "deepfake": "bold red", "inconclusive": "bold yellow", "no_speech": "dim"}
_WIDTH_WITHOUT_TERMINAL = 120


def console_for(stream: TextIO) -> Console:
    """Return a console that colours only on a terminal and does not squeeze tables into 80 columns elsewhere."""
    on_terminal = stream.isatty()
    width = None if on_terminal else _WIDTH_WITHOUT_TERMINAL
    return Console(file=stream, force_terminal=on_terminal, width=width, highlight=False)


def write_table(results: Iterable[Detection | Skipped], stream: TextIO, *, segments: bool) -> None:
    """Write one row per recording, and with ``segments`` below it one per region and one per window."""
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
            percent(result.p_deepfake),
            f"{result.speech_seconds:.1f} s",
            "; ".join([*(REASONS[reason] for reason in result.reasons), *_of_regions(result, segments=segments)]),
        )
        if segments:
            for r in result.regions or ():
                table.add_row(_span(r), Text("region", style="bold red"), percent(r.p_deepfake), "", "looks synthetic")
            for s in result.segments:
                table.add_row(_span(s), "", percent(s.p_deepfake), "", "")
    console_for(stream).print(table)


def _of_regions(detection: Detection, *, segments: bool) -> Iterator[str]:
    """Yield what must be said of regions beside the verdict, which they do not change."""
    if segments and detection.regions and detection.verdict != "deepfake":
        yield "but a part looks synthetic: see below"


def _span(span: Segment | Region) -> str:
    return f"  {span.start:7.2f} - {span.end:7.2f} s"


def write_training(run: TrainingRun, stream: TextIO) -> None:
    """Write what a training run did."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    data, held_out = run.metadata.training["data"], run.held_out
    table.add_row("recordings", _counts(data["all"]))
    table.add_row("left out as unusable", f"{len(run.bad):,}")
    for number, (counts, rate) in enumerate(zip(data["parts"], held_out.parts, strict=True), start=1):
        table.add_row(f"held out, part {number}", f"{_counts(counts)}: EER {percent(rate)}")
    table.add_row("on what was held out", f"{held_out.n:,} recordings")
    told = [
        ("  EER / mean over sources", f"{percent(held_out.eer)} / {percent(held_out.mean_eer) or 'none has both'}"),
        ("  balanced accuracy", percent(held_out.balanced_accuracy)),
        ("  Cllr / calibration error", f"{held_out.cllr:.3f} bits / {held_out.calibration_error:.3f}"),
    ]
    if sounds := run.metadata.training["held_out"].get("non_speech"):
        told.append(("  without speech", f"{sounds['n']:,} recordings, {percent(sounds['refused'])} get no verdict"))
    told += [
        ("ONNX equals the original within", f"{run.metadata.training['onnx_difference']:g}"),
        ("seconds", ", ".join(f"{name} {seconds:.0f}" for name, seconds in run.seconds.items())),
    ]
    for name, value in told:
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
            percent(held_out["eer"]),
            percent(held_out.get("mean_eer")),
            percent(held_out["balanced_accuracy"]),
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
