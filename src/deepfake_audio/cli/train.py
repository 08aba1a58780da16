"""`deepfake-audio train` and `deepfake-audio runs`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepfake_audio.cli.options import (
    Backend,
    Columns,
    Data,
    Jobs,
    LayoutName,
    Plots,
    Quiet,
    Verbose,
    read_dataset,
    require_number,
)
from deepfake_audio.streams import open_output, progress_bars, refuse_overwriting, say

if TYPE_CHECKING:
    from deepfake_audio.recipe import Member, Recipe
    from deepfake_audio.training import TrainingRun


def train(
    data: Data,
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The model file to write; a run record (.json) goes beside it. Can be left out with --cross-validate.",
        ),
    ] = None,
    backend: Annotated[
        Backend | None, typer.Option(help="An SVM on statistics of features, or a CNN on mel spectrograms.")
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="A TOML file with every choice of the run, or the name of a shipped model (default, svm, cnn) whose "
            "recipe is wanted; instead of --backend. The options below change it.",
            metavar="FILE|NAME",
        ),
    ] = None,
    cross_validate: Annotated[
        int | None,
        typer.Option(
            min=2,
            help="Hold out each of so many parts in turn, whole groups only, and tell how well that goes.",
            show_default="a fifth is held out, once",
            metavar="PARTS",
        ),
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(
            help="Another front end: mfcc, mel, lfcc or linear, with settings such as mfcc,n_bands=40,deltas=1.",
            show_default="the recipe's",
            metavar="KIND[,KEY=VALUE...]",
        ),
    ] = None,
    options: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Change an option of the backend, such as c=2, epochs=40 or architecture=resnet. Can be given several "
            "times.",
            metavar="KEY=VALUE",
        ),
    ] = None,
    window_seconds: Annotated[
        float | None,
        typer.Option(min=0.5, max=30, callback=require_number, help="Length of a window.", show_default="the recipe's"),
    ] = None,
    copies: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Also learn from so many noisy, filtered, compressed or reverberant copies of each window.",
            show_default="the recipe's",
        ),
    ] = None,
    noises: Annotated[
        Path | None,
        typer.Option(
            help="A directory of recorded noise (searched recursively) for these copies.",
            show_default="noise made on the spot",
            metavar="DIR",
        ),
    ] = None,
    rooms: Annotated[
        Path | None,
        typer.Option(
            help="A directory of recorded impulse responses of rooms (searched recursively) for these copies.",
            show_default="rooms made on the spot",
            metavar="DIR",
        ),
    ] = None,
    non_speech: Annotated[
        Path | None,
        typer.Option(
            help="A directory of recordings without speech (searched recursively), such as noise, music and animals: "
            "what is like them will be `inconclusive`, out_of_domain. For the backend svm.",
            metavar="DIR",
        ),
    ] = None,
    layout: LayoutName = "auto",
    partition: Annotated[
        str | None,
        typer.Option(help="Which part to learn from, or several: train,dev.", show_default="train, else everything"),
    ] = None,
    column: Columns = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Same seed, same data, same model.", show_default="the recipe's, else 0")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What the model calls itself.", show_default="the recipe's")] = None,
    cache: Annotated[
        Path | None,
        typer.Option(help="A directory that keeps features for further runs, 20 GB of them at most.", metavar="DIR"),
    ] = None,
    runs: Annotated[
        Path | None,
        typer.Option(help="Append the recipe and its figures to this file; `runs` shows the table.", metavar="FILE"),
    ] = None,
    log_dir: Annotated[Path | None, typer.Option(help="Write TensorBoard logs of a CNN's training here.")] = None,
    plots: Plots = None,
    plot_architecture: Annotated[
        Path | None,
        typer.Option(
            help="Draw the layers of the recipe's CNN to this file, .png, .svg or .pdf, before it is trained (needs "
            "the extra viz, and Graphviz). For any model there is `inspect --plot`.",
            metavar="FILE",
        ),
    ] = None,
    jobs: Jobs = None,
    quiet: Quiet = False,
    verbose: Verbose = False,  # noqa: ARG001 - its callback does the work
) -> None:
    """
    Train a model on labelled recordings.

    Recordings of one group (a column of a manifest, a folder, or a speaker) stay on one side of every split.

    What is held out is never learnt from by the classifier that scores it; its scores calibrate the probabilities.

    Examples:
        deepfake-audio train my-recordings/ --backend svm -o mine.onnx
        deepfake-audio train clips.csv --backend cnn --set epochs=60 -o mine.onnx
        deepfake-audio train clips.csv --recipe mine.toml --cross-validate 5 --cache features/ --runs runs.jsonl
    """
    from deepfake_audio import training
    from deepfake_audio.examples import read_recorded
    from deepfake_audio.files import require_writable
    from deepfake_audio.parallel import usable_cores
    from deepfake_audio.recipe import Recipe, read_recipe
    from deepfake_audio.reports import tables
    from deepfake_audio.runs import append_run

    if (backend is None) == (recipe is None):
        raise typer.BadParameter("give either --backend or --recipe")
    if output is None and cross_validate is None:
        raise typer.BadParameter("without --cross-validate an --output is needed")
    if runs is not None and runs == output:
        raise typer.BadParameter("--runs and --output name the same file")
    chosen = read_recipe(recipe) if backend is None else Recipe.of(backend)  # type: ignore[arg-type]
    chosen = chosen.changed(
        features=features, options=options, copies=copies, name=name, seed=seed, window_seconds=window_seconds
    )
    refuse_overwriting(output, [str(data)])
    if runs is not None:
        refuse_overwriting(runs, [str(path) for path in (data, output, recipe) if path is not None])
        require_writable(runs)
    if plot_architecture is not None:
        refuse_overwriting(plot_architecture, [str(path) for path in (data, output, recipe, runs) if path is not None])
        _require_one_network(chosen, plot_architecture)
    noise, responses, others = (
        () if directory is None else read_recorded(directory, chosen.sample_rate)
        for directory in (noises, rooms, non_speech)
    )
    dataset = read_dataset(data, layout, partition, ("train",), column, quiet=quiet)
    if plot_architecture is not None:
        _draw_network(chosen, plot_architecture)
    with progress_bars(quiet=quiet) as progress:
        run = training.train(
            dataset,
            chosen,
            output,
            parts=cross_validate,
            jobs=jobs or usable_cores(),
            noises=noise,
            rooms=responses,
            non_speech=others,
            cache=cache,
            log_dir=log_dir,
            progress=progress,
        )
    if runs is not None:
        append_run(runs, run)
    if plots is not None:
        _draw(run, plots)
    for bad in run.bad:
        say(f"left out: {bad['message']}")
    with open_output(None) as stream:
        tables.write_training(run, stream)


def _networks(recipe: Recipe) -> list[Member]:
    return [member for member in recipe.members if member.backend == Backend.CNN]


def _require_one_network(recipe: Recipe, path: Path) -> None:
    """Find out before any work whether the recipe has a network to draw, and whether that can be done."""
    from deepfake_audio.backends import load_backend, require_extra
    from deepfake_audio.backends.cnn import require_graphviz

    if len(_networks(recipe)) != 1:
        raise typer.BadParameter(f"--plot-architecture draws one CNN, the recipe has {len(_networks(recipe))}")
    require_extra(load_backend(Backend.CNN))
    require_graphviz(path)


def _draw_network(recipe: Recipe, path: Path) -> None:
    from deepfake_audio.backends.cnn import plot_network
    from deepfake_audio.features import feature_shape

    (member,) = _networks(recipe)
    plot_network(path, feature_shape(member.specs, recipe.window_samples), member.options)


def _draw(run: TrainingRun, directory: Path) -> None:
    from deepfake_audio.plots import save
    from deepfake_audio.reports.pictures import training_curves

    figure = training_curves(run)
    if figure is None:
        say(f"{directory}: no curves to draw: what was trained learns in one step")
    else:
        save(figure, directory, "training")


def runs_(
    path: Annotated[Path, typer.Argument(help="A file that `train --runs` appended to.", metavar="FILE")],
    *,
    verbose: Verbose = False,  # noqa: ARG001 - its callback does the work
) -> None:
    """
    Show the table of training runs: how well each does on what it held out, and what differs between their recipes.

    Only figures of the same data, held out in as many parts, can be compared.

    Examples:
        deepfake-audio runs runs.jsonl
        deepfake-audio runs runs.jsonl > table.txt
    """
    from deepfake_audio.reports import tables
    from deepfake_audio.runs import read_runs

    with open_output(None) as stream:
        tables.write_runs(read_runs(path), stream)
