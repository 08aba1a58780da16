"""`deepfake-audio evaluate`."""

from __future__ import annotations

import enum
import json
from typing import Annotated

import typer

from deepfake_audio.cli.options import (
    Backend,
    Columns,
    Data,
    Jobs,
    LayoutName,
    Model,
    OperatingPointName,
    Output,
    Quiet,
    Tally,
    Verbose,
    chosen_model,
    load_detector,
    read_dataset,
    suffix_of,
)
from deepfake_audio.streams import open_output, progress_bar, refuse_overwriting


class EvaluationFormat(enum.StrEnum):
    """How an evaluation is written."""

    TABLE = "table"
    JSON = "json"


def evaluate(
    data: Data,
    *,
    model: Model = None,
    backend: Annotated[
        Backend | None, typer.Option(help="Use the shipped model of this backend instead of the default.")
    ] = None,
    layout: LayoutName = "auto",
    partition: Annotated[
        str | None,
        typer.Option(
            help="Which part to evaluate on, or several: train,dev.", show_default="eval, else dev, else everything"
        ),
    ] = None,
    column: Columns = None,
    operating_point: OperatingPointName = None,
    format_: Annotated[
        EvaluationFormat | None,
        typer.Option("--format", "-f", help="How to write it.", show_default="by the suffix of --output, else table"),
    ] = None,
    output: Output = None,
    jobs: Jobs = None,
    quiet: Quiet = False,
    verbose: Verbose = False,  # noqa: ARG001 - its callback does the work
) -> None:
    """
    Measure a model on labelled recordings.

    Decisions are judged at a threshold that the model stores, its own unless --operating-point names another.

    The equal error rate beside them assumes that somebody knew the best threshold for these very recordings.

    Examples:
        deepfake-audio evaluate my-recordings/
        deepfake-audio evaluate LA/ --partition eval --model mine.onnx
        deepfake-audio evaluate clips.csv --column label=kind -o result.json
    """
    from deepfake_audio import evaluation
    from deepfake_audio.batch import score_all
    from deepfake_audio.parallel import usable_cores
    from deepfake_audio.reports import records, tables

    detector = load_detector(chosen_model(model, backend), None, operating_point)
    refuse_overwriting(output, [str(data)])
    dataset = read_dataset(data, layout, partition, ("eval", "dev"), column, quiet=quiet)
    tally = Tally(most_named=20)
    chosen = format_ or (EvaluationFormat.JSON if suffix_of(output) == "json" else EvaluationFormat.TABLE)
    # The output is opened before the scoring: hours later would be late to find out that it cannot be written.
    with open_output(output, machine=chosen != EvaluationFormat.TABLE) as stream:
        with progress_bar("scoring", len(dataset.utterances), quiet=quiet) as advance:
            results = score_all((str(u.path) for u in dataset.utterances), detector, jobs=jobs or usable_cores())
            outcome = evaluation.evaluate(dataset.utterances, tally.watch(results, advance), detector.threshold)
        if chosen == EvaluationFormat.JSON:
            context = {
                "data": str(data),
                "layout": dataset.layout,
                "partition": sorted(dataset.partitions),
                "model": {"name": detector.model.name, "sha256": detector.model.sha256},
            }
            stream.write(json.dumps(records.evaluation_record(outcome, context), indent=2, ensure_ascii=False) + "\n")
        else:
            part = f", partition {', '.join(dataset.partitions)}" if dataset.partitions else ""
            tables.write_evaluation(outcome, stream, f"{detector.model.name} on {data}{part}")
    tally.finish(quiet=quiet)
