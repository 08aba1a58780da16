"""`deepfake-audio predict`."""

from __future__ import annotations

import enum
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepfake_audio.cli.options import (
    Backend,
    FailOn,
    Jobs,
    Model,
    OperatingPointName,
    Output,
    Quiet,
    Tally,
    Verbose,
    chosen_model,
    load_detector,
    require_number,
    suffix_of,
)
from deepfake_audio.errors import DataError
from deepfake_audio.streams import open_output, progress_bar, refuse_overwriting

if TYPE_CHECKING:
    from collections.abc import Iterable

    from deepfake_audio.detector import Detection, Skipped


class Format(enum.StrEnum):
    """How results are written."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"


def predict(
    paths: Annotated[
        list[str],
        typer.Argument(
            help="Audio files, directories (searched recursively), or - for standard input.",
            metavar="PATH",
        ),
    ],
    *,
    backend: Annotated[
        Backend | None, typer.Option(help="Use the shipped model of this backend instead of the default.")
    ] = None,
    model: Model = None,
    format_: Annotated[
        Format | None,
        typer.Option(
            "--format",
            "-f",
            help="How to write results.",
            show_default="by the suffix of --output, else table",
        ),
    ] = None,
    output: Output = None,
    segments: Annotated[
        bool,
        typer.Option("--segments", help="Also give the score of each window of a recording (an indication)."),
    ] = False,
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            max=0.999,
            callback=require_number,
            help="Call it a deepfake above this probability; within odds of 2 to 1 of it stays inconclusive.",
            show_default="the model's own",
            metavar="P",
        ),
    ] = None,
    operating_point: OperatingPointName = None,
    fail_on: Annotated[
        FailOn | None,
        typer.Option(help="Exit with 1 if there is such a verdict; this wins over exit code 3."),
    ] = None,
    jobs: Jobs = None,
    quiet: Quiet = False,
    verbose: Verbose = False,  # noqa: ARG001 - its callback does the work
) -> None:
    """
    Say whether recordings of speech are genuine or deepfakes.

    The verdict is genuine, deepfake, inconclusive (weak evidence, or little speech) or no_speech.

    P(deepfake) assumes that deepfakes and genuine recordings are equally likely beforehand.

    Examples:
        deepfake-audio predict voice-note.mp3
        deepfake-audio predict uploads/ --format csv -o results.csv
        deepfake-audio predict call.wav --segments --fail-on deepfake
    """
    from deepfake_audio.batch import find_inputs, score_all
    from deepfake_audio.parallel import usable_cores

    detector = load_detector(chosen_model(model, backend), threshold, operating_point)
    inputs = list(find_inputs(paths))
    if not inputs:
        raise DataError(f"no audio files below {', '.join(paths)}")
    refuse_overwriting(output, inputs)
    chosen = format_ or _format_of(output)
    # Records that appear line by line on the same terminal would tear the bar apart.
    lines_on_terminal = chosen != Format.TABLE and output is None and sys.stdout is not None and sys.stdout.isatty()
    tally = Tally()
    with progress_bar("scoring", len(inputs), quiet=quiet or lines_on_terminal) as advance:
        results = score_all(inputs, detector, jobs=jobs or usable_cores())
        _write_results(tally.watch(results, advance), chosen, output, segments=segments)
    tally.finish(quiet=quiet, fail_on=fail_on)


def _format_of(output: Path | None) -> Format:
    suffix = suffix_of(output)
    return (
        Format({"ndjson": "jsonl"}.get(suffix, suffix))
        if suffix in {"json", "jsonl", "ndjson", "csv"}
        else Format.TABLE
    )


def _write_results(
    results: Iterable[Detection | Skipped], format_: Format, output: Path | None, *, segments: bool
) -> None:
    if format_ == Format.TABLE:
        from deepfake_audio.reports.tables import write_table as write
    else:
        from deepfake_audio.reports.records import WRITERS

        write = WRITERS[format_]
    with open_output(output, machine=format_ != Format.TABLE) as stream:
        write(results, stream, segments=segments)
