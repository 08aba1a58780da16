"""`deepfake-audio analyze`, and the command that makes the ranges it compares with."""

from __future__ import annotations

import enum
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepfake_audio.cli.options import (
    EXIT_SKIPPED,
    Columns,
    Data,
    Jobs,
    LayoutName,
    Output,
    Quiet,
    Verbose,
    read_dataset,
    suffix_of,
)
from deepfake_audio.errors import DataError
from deepfake_audio.streams import open_output, progress_bar, refuse_overwriting, say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from deepfake_audio.analysis import Analysis, NotAnalysed


class AnalysisFormat(enum.StrEnum):
    """How an analysis is written."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"


def analyze(
    paths: Annotated[
        list[str],
        typer.Argument(
            help="Audio files, directories (searched recursively), or - for standard input.",
            metavar="PATH",
        ),
    ],
    *,
    format_: Annotated[
        AnalysisFormat | None,
        typer.Option(
            "--format",
            "-f",
            help="How to write it.",
            show_default="by the suffix of --output, else table",
        ),
    ] = None,
    output: Output = None,
    contours: Annotated[
        bool,
        typer.Option("--contours", help="In JSON, also give pitch and level every 10 ms."),
    ] = False,
    ranges: Annotated[
        Path | None,
        typer.Option(
            help="Compare with these ranges of genuine speech.", show_default="those that ship", metavar="FILE"
        ),
    ] = None,
    jobs: Jobs = None,
    quiet: Quiet = False,
    verbose: Verbose = False,  # noqa: ARG001 - its callback does the work
) -> None:
    """
    Measure pitch, loudness, pace, pauses, spectrum, noise, clipping and abrupt changes in recordings of speech.

    Each figure stands beside the range that genuine speech has, with a sentence where it is outside.

    It is evidence to look at, apart from the verdict of predict: no figure here makes or changes one.

    Examples:
        deepfake-audio analyze voice-note.mp3
        deepfake-audio analyze call.wav --contours -o call.json
        deepfake-audio analyze uploads/ --format jsonl
    """
    from deepfake_audio.analysis import analyse_all, read_reference
    from deepfake_audio.batch import find_inputs
    from deepfake_audio.parallel import usable_cores

    reference = read_reference(ranges)
    inputs = list(find_inputs(paths))
    if not inputs:
        raise DataError(f"no audio files below {', '.join(paths)}")
    refuse_overwriting(output, [*inputs, *([str(ranges)] if ranges else [])])
    chosen = format_ or _format_of(output)
    if contours and chosen == AnalysisFormat.TABLE:
        raise typer.BadParameter("--contours goes with --format json or jsonl")
    lines_on_terminal = output is None and sys.stdout is not None and sys.stdout.isatty()
    skipped: list[str] = []
    with progress_bar("analysing", len(inputs), quiet=quiet or lines_on_terminal) as advance:
        results = _watched(analyse_all(inputs, reference, jobs=jobs or usable_cores()), skipped, advance)
        _write(results, chosen, output, contours=contours)
    if not quiet and len(inputs) > 1:
        say(f"{len(inputs):,} recordings: {len(inputs) - len(skipped):,} analysed, {len(skipped):,} not")
    if skipped:
        raise typer.Exit(EXIT_SKIPPED)


def _watched(
    results: Iterable[Analysis | NotAnalysed], skipped: list[str], advance: Callable[[], None]
) -> Iterator[Analysis | NotAnalysed]:
    """Pass results on, and name what could not be analysed."""
    from deepfake_audio.analysis import NotAnalysed

    for result in results:
        advance()
        if isinstance(result, NotAnalysed):
            skipped.append(result.path)
            say(result.message)
        yield result


def _format_of(output: Path | None) -> AnalysisFormat:
    suffix = {"ndjson": "jsonl"}.get(suffix_of(output), suffix_of(output))
    return AnalysisFormat(suffix) if suffix in {"json", "jsonl"} else AnalysisFormat.TABLE


def _write(
    results: Iterable[Analysis | NotAnalysed], format_: AnalysisFormat, output: Path | None, *, contours: bool
) -> None:
    from deepfake_audio.reports import analysis as reports

    write = {"table": reports.write_table, "json": reports.write_json, "jsonl": reports.write_jsonl}[format_]
    with open_output(output, machine=format_ != AnalysisFormat.TABLE) as stream:
        write(results, stream, contours=contours)


def analysis_ranges(
    data: Data,
    *,
    output: Output = None,
    layout: LayoutName = "auto",
    partition: Annotated[
        str | None, typer.Option(help="Which part to use.", show_default="train, else everything")
    ] = None,
    column: Columns = None,
    description: Annotated[str, typer.Option(help="What these recordings are.")] = "genuine clips",
    leave_out: Annotated[
        list[str] | None,
        typer.Option(
            help="A figure of which these recordings say nothing, and why. Can be given several times.",
            metavar="FIGURE=REASON",
        ),
    ] = None,
    jobs: Jobs = None,
    quiet: Quiet = False,
    verbose: Verbose = False,  # noqa: ARG001 - its callback does the work
) -> None:
    """
    Write the ranges that genuine speech has, for analyze --ranges, from the genuine recordings of a data set.

    Percentiles 1, 5, 50, 95 and 99 of each figure, as JSON, with the number of recordings and a hash of them all.

    Examples:
        deepfake-audio analysis-ranges my-recordings/ -o ranges.json
        deepfake-audio analysis-ranges clips.csv --leave-out "peak_dbfs=was set" -o r.json
    """
    from deepfake_audio.analysis import reference_ranges
    from deepfake_audio.parallel import usable_cores

    if wrong := [pair for pair in leave_out or () if "=" not in pair]:
        raise typer.BadParameter(f"--leave-out takes FIGURE=REASON, not {wrong[0]!r}")
    dataset = read_dataset(data, layout, partition, ("train",), column, quiet=quiet)
    genuine = [utterance for utterance in dataset.utterances if utterance.is_bonafide]
    with open_output(output, machine=True) as stream:
        with progress_bar("measuring", len(genuine), quiet=quiet) as advance:
            found = reference_ranges(
                [utterance.path for utterance in genuine],
                n_sources=max(1, len({utterance.source for utterance in genuine})),
                left_out=dict(pair.split("=", maxsplit=1) for pair in leave_out or ()),
                description=description,
                jobs=jobs or usable_cores(),
                advance=advance,
            )
        stream.write(found.to_json())
