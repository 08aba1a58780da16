"""`deepfake-audio evaluate`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from deepfake_audio.cli.assessing import (
    EvaluationFormat,
    ScoreFormat,
    Targets,
    assess,
    check_shortcuts,
    load_detectors,
    read_asv_scores,
    read_labelled,
    refuse_contradictions,
    stress_rows,
    tested_models,
    tested_scores,
)
from deepfake_audio.cli.options import (
    Backend,
    Columns,
    Jobs,
    LayoutName,
    OperatingPointName,
    Output,
    Plots,
    Quiet,
    Tally,
    Verbose,
    chosen_model,
    require_number,
)
from deepfake_audio.streams import open_output


def evaluate(
    data: Annotated[
        Path | None,
        typer.Argument(
            help="A directory with bonafide (genuine, real) and spoof (deepfake, fake) sub-directories, a CSV "
            "manifest, an unpacked ASVspoof 2019, 2021 or 5, In-the-Wild, WaveFake or Fake-or-Real, or a protocol file "
            "of these. Can be left out with --scores if the score file names the classes.",
            metavar="[DATA]",
            show_default=False,
        ),
    ] = None,
    *,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="A model file, or the name of a shipped one: default, svm, cnn. Given several times, the others are "
            "compared with the first.",
            metavar="FILE|NAME",
            show_default="default",
        ),
    ] = None,
    backend: Annotated[
        Backend | None, typer.Option(help="Use the shipped model of this backend instead of the default.")
    ] = None,
    scores: Annotated[
        list[Path] | None,
        typer.Option(
            help="Evaluate a score file instead of audio: that of ASVspoof 2019, 2021 or 5, or a CSV, JSON or JSON "
            "lines file of ours. Given several times, the others are compared with the first.",
            metavar="FILE",
        ),
    ] = None,
    score_threshold: Annotated[
        float,
        typer.Option(
            callback=require_number, help="With --scores: accept as genuine from this score on.", metavar="SCORE"
        ),
    ] = 0.0,
    asv_scores: Annotated[
        Path | None,
        typer.Option(help="Scores of a speaker verification system, for min t-DCF.", metavar="FILE"),
    ] = None,
    asv_key: Annotated[
        Path | None,
        typer.Option(help="The key of these scores (ASVspoof 2021: ASV/trial_metadata.txt).", metavar="FILE"),
    ] = None,
    layout: LayoutName = "auto",
    partition: Annotated[
        str | None,
        typer.Option(
            help="Which part to evaluate on, or several: train,dev.", show_default="eval, else dev, else everything"
        ),
    ] = None,
    subset: Annotated[
        str | None,
        typer.Option(
            help="Of ASVspoof 2021: eval, progress, hidden, several with commas, or all.",
            show_default="eval, as official figures are",
        ),
    ] = None,
    column: Columns = None,
    by: Annotated[
        list[str] | None,
        typer.Option(
            help="Also break the figures down by this: any column of a manifest or protocol, such as gender. Can be "
            "given several times. System, family, source, speaker, language, codec and duration come by themselves.",
            metavar="NAME",
        ),
    ] = None,
    operating_point: OperatingPointName = None,
    stress: Annotated[
        bool,
        typer.Option("--stress", help="Also score each clip as telephones, codecs, noise, rooms and so on change it."),
    ] = False,
    noises: Annotated[
        Path | None,
        typer.Option(
            help="With --stress: a directory of recorded noise.", show_default="made on the spot", metavar="DIR"
        ),
    ] = None,
    rooms: Annotated[
        Path | None,
        typer.Option(
            help="With --stress: a directory of recorded impulse responses of rooms.",
            show_default="made on the spot",
            metavar="DIR",
        ),
    ] = None,
    shortcut_check: Annotated[
        bool,
        typer.Option(
            "--shortcut-check",
            help="Also tell how well silence, loudness, duration, bandwidth and the like tell these classes apart.",
        ),
    ] = False,
    resamples: Annotated[
        int, typer.Option(min=0, max=100_000, help="How often to resample for the 95 % intervals; 0 gives none.")
    ] = 1_000,
    seed: Annotated[int, typer.Option(min=0, help="Of the resampling and of the noise.")] = 0,
    report: Annotated[
        list[Path] | None,
        typer.Option(
            help="Write a report with plots: one self-contained .html, or .md. Can be given several times.",
            metavar="FILE",
        ),
    ] = None,
    plots: Plots = None,
    write_scores: Annotated[Path | None, typer.Option(help="Write the score of each clip.", metavar="FILE")] = None,
    score_format: Annotated[
        ScoreFormat, typer.Option(help="How to write them, so that official packages can read them.")
    ] = ScoreFormat.CSV,
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
    Measure a model, or a file of scores, on labelled recordings.

    Decisions are judged at a threshold that the model stores, its own unless --operating-point names another.

    The equal error rate beside them assumes that somebody knew the best threshold for these very recordings.

    Examples:
        deepfake-audio evaluate my-recordings/ --report report.html
        deepfake-audio evaluate LA/ --model mine.onnx --model default
        deepfake-audio evaluate clips.csv --column label=kind -o result.json
        deepfake-audio evaluate --scores scores.txt --asv-scores asv.txt
    """
    refuse_contradictions(
        {
            "give --model or --scores, not both": bool(scores) and bool(model or backend or operating_point),
            "give --backend or --model, not both": bool(model and backend),
            "give DATA or --scores": data is None and not scores,
            "--stress and --shortcut-check need audio, not --scores": bool(scores) and (stress or shortcut_check),
            "--noises and --rooms go with --stress": not stress and bool(noises or rooms),
            "--asv-key goes with --asv-scores": asv_key is not None and asv_scores is None,
            "--score-threshold goes with --scores": score_threshold != 0 and not scores,
        }
    )
    inputs = [path for path in (data, asv_scores, asv_key, *(scores or ())) if path is not None]
    targets = Targets(output, format_, tuple(report or ()), plots, write_scores, score_format)
    targets.refuse_unwritable(inputs)
    asv = None if asv_scores is None else read_asv_scores(asv_scores, asv_key)
    # A model that cannot be used is told before the data are read.
    detectors = {} if scores else load_detectors(model or [chosen_model(None, backend)], operating_point)
    dataset = None if data is None else read_labelled(data, layout, partition, subset, column, quiet=quiet)
    if dataset is not None:
        targets.refuse_ids(dataset)
    tally = Tally(most_named=20)
    # The output is opened before the scoring: hours later would be late to find out that it cannot be written.
    with open_output(output, machine=targets.machine) as stream:
        if dataset is None or scores:
            tested = tested_scores(scores or [], dataset, score_threshold)
        else:
            tested = tested_models(detectors, dataset, tally, jobs=jobs, quiet=quiet)
        found = assess(tested, dataset, by or [], asv, n_resamples=resamples, seed=seed)
        if dataset is not None and stress:
            rows = stress_rows(tested[0], dataset, noises, rooms, seed=seed, jobs=jobs, quiet=quiet)
            found = dataclasses.replace(found, stress=rows)
        if dataset is not None and shortcut_check:
            found = dataclasses.replace(found, shortcuts=check_shortcuts(dataset, jobs=jobs, quiet=quiet))
        targets.write(found, tested, stream)
    tally.finish(quiet=quiet)
