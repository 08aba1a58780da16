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
from deepfake_audio.errors import DataError, OutputError
from deepfake_audio.streams import open_output, progress_bar, refuse_overwriting

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from deepfake_audio.detector import Detection, Skipped


class Format(enum.StrEnum):
    """How results are written."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"


class SegmentsFormat(enum.StrEnum):
    """How regions are written for other programs."""

    CSV = "csv"
    TEXTGRID = "textgrid"
    AUDACITY = "audacity"
    RTTM = "rttm"
    SRT = "srt"


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
        typer.Option(
            "--segments",
            help="Also give the score of each window of a recording, and the regions that look synthetic (indications, "
            "which change no verdict); takes about nine times as long.",
        ),
    ] = False,
    segments_format: Annotated[
        SegmentsFormat | None,
        typer.Option(
            help="Write the regions instead of results: a table, a Praat TextGrid, Audacity labels, NIST's RTTM or SRT "
            "subtitles.",
        ),
    ] = None,
    segments_output: Annotated[
        Path | None,
        typer.Option(
            file_okay=False,
            help="Write the regions into this directory, a file for each recording, and results as usual. It must be "
            "empty or not there yet.",
            metavar="DIR",
        ),
    ] = None,
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
        deepfake-audio predict call.wav --segments-format textgrid -o call.TextGrid
    """
    from deepfake_audio.batch import find_inputs, score_all
    from deepfake_audio.parallel import usable_cores

    detector = load_detector(chosen_model(model, backend), threshold, operating_point)
    inputs = list(find_inputs(paths))
    if not inputs:
        raise DataError(f"no audio files below {', '.join(paths)}")
    _require_place(segments_format, segments_output, format_, output, len(inputs))
    refuse_overwriting(output, inputs)
    segments = segments or segments_format is not None
    if segments:
        from deepfake_audio.localisation import HOP_SECONDS

        detector.hop_seconds = HOP_SECONDS
    chosen = format_ or _format_of(output)
    is_lines = chosen != Format.TABLE or (segments_format is not None and segments_output is None)
    # Records that appear line by line on the same terminal would tear the bar apart.
    lines_on_terminal = is_lines and output is None and sys.stdout is not None and sys.stdout.isatty()
    tally = Tally()
    with progress_bar("scoring", len(inputs), quiet=quiet or lines_on_terminal) as advance:
        results = tally.watch(score_all(inputs, detector, jobs=jobs or usable_cores()), advance)
        if segments_format is None:
            _write_results(results, chosen, output, segments=segments)
        elif segments_output is None:
            _write_regions(_named(inputs, results), segments_format, output)
        else:
            written = _write_files(_named(inputs, results), segments_format, segments_output)
            _write_results(written, chosen, output, segments=segments)
    tally.finish(quiet=quiet, fail_on=fail_on)


def _require_place(
    segments_format: SegmentsFormat | None,
    directory: Path | None,
    format_: Format | None,
    output: Path | None,
    n_inputs: int,
) -> None:
    """Find out before any work whether regions can be written where they were asked for."""
    if segments_format is None:
        if directory is not None:
            raise typer.BadParameter("--segments-output needs --segments-format")
        return
    if directory is not None:
        if output is not None and output.resolve().parent == directory.resolve():
            raise typer.BadParameter("--output must not lie in the directory of --segments-output")
        _prepare(directory)
        return
    from deepfake_audio.reports.regions import FORMATS

    if format_ is not None:
        raise typer.BadParameter("--format and --segments-format both want the output; give --segments-output as well")
    if n_inputs > 1 and not FORMATS[segments_format].holds_many:
        raise typer.BadParameter(
            f"a file of {segments_format} holds one recording, there are {n_inputs:,}; give --segments-output"
        )


def _prepare(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        is_empty = next(directory.iterdir(), None) is None
    except OSError as error:
        raise OutputError(f"{directory}: cannot be made or read ({error.strerror})") from error
    if not is_empty:
        raise OutputError(f"{directory}: is not empty; give another directory")


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


def _write_regions(
    results: Iterable[tuple[str, Detection | Skipped]], format_: SegmentsFormat, output: Path | None
) -> None:
    """Write the regions of what was scored as one result; if that holds one recording, and it was not, nothing."""
    from deepfake_audio.detector import Detection
    from deepfake_audio.reports.regions import FORMATS

    scored: Iterable[tuple[str, Detection]] = (
        (name, result) for name, result in results if isinstance(result, Detection)
    )
    if not FORMATS[format_].holds_many:
        scored = list(scored)
        if not scored:
            return
    with open_output(output, machine=True) as stream:
        FORMATS[format_].write(scored, stream)


def _write_files(
    results: Iterable[tuple[str, Detection | Skipped]], format_: SegmentsFormat, directory: Path
) -> Iterator[Detection | Skipped]:
    """Pass results on, writing the regions of each that was scored into a file of its own."""
    from deepfake_audio.detector import Detection
    from deepfake_audio.reports.regions import FORMATS

    for name, result in results:
        if isinstance(result, Detection):
            with open_output(directory / f"{name}{FORMATS[format_].suffix}", machine=True) as stream:
                FORMATS[format_].write([(name, result)], stream)
        yield result


def _named(inputs: Sequence[str], results: Iterable[Detection | Skipped]) -> Iterator[tuple[str, Detection | Skipped]]:
    """Yield each result with a name that no other has and that any file system takes."""
    from deepfake_audio.reports.regions import recording_names

    return zip(recording_names(inputs), results, strict=True)
