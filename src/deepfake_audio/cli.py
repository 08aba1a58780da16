"""
The command line: parse, call, print, exit.

Results go to standard output and nothing else does; messages and progress go to standard error, progress only where
that is a terminal. All errors of this package end here, as one line and an exit code.
"""

from __future__ import annotations

import enum
import json
import math
import signal
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deepfake_audio import __version__
from deepfake_audio.errors import DataError, DeepfakeAudioError, ModelFileError
from deepfake_audio.streams import open_output, prepare_streams, progress_bar, progress_bars, refuse_overwriting, say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from deepfake_audio.detector import Detection, Detector, Skipped

EXIT_FOUND = 1
EXIT_SKIPPED = 3

EXIT_CODES = """Exit codes:
    0  done
    1  a deepfake was found, and --fail-on deepfake was given
    2  wrong usage, or nothing could be done
    3  some input could not be scored, all others were
  130  interrupted, finished records are kept"""

app = typer.Typer(
    name="deepfake-audio",
    help="Tell genuine speech from audio deepfakes: offline, with a model that ships inside.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Backend(enum.StrEnum):
    """What learns."""

    SVM = "svm"
    CNN = "cnn"


class OperatingPoint(enum.StrEnum):
    """Which of the thresholds that a model stores decides."""

    BALANCED = "balanced"
    FEW_FALSE_ALARMS = "few-false-alarms"
    FEW_MISSES = "few-misses"


class Vocoder(enum.StrEnum):
    """What makes synthetic speech out of genuine speech."""

    GRIFFIN_LIM = "griffin-lim"
    WORLD = "world"
    LPC = "lpc"
    HARMONIC = "harmonic"
    PHASE = "phase"
    EXCITATION = "excitation"
    UPSAMPLE = "upsample"


class Format(enum.StrEnum):
    """How results are written."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"


class EvaluationFormat(enum.StrEnum):
    """How an evaluation is written."""

    TABLE = "table"
    JSON = "json"


class FailOn(enum.StrEnum):
    """What makes the exit code 1."""

    DEEPFAKE = "deepfake"


_state = {"verbose": False}


def _set_verbose(value: bool) -> bool:  # noqa: FBT001 - typer's form
    _state["verbose"] = value
    return value


def _print_version(value: bool) -> None:  # noqa: FBT001 - typer's form
    if value:
        typer.echo(f"deepfake-audio {__version__}")
        raise typer.Exit


def _require_number(value: float | None) -> float | None:
    """Refuse NaN, which passes every check of a range."""
    if value is not None and math.isnan(value):
        raise typer.BadParameter("nan is not a number")
    return value


Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", callback=_set_verbose, help="Show the traceback of an error.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no summary on standard error.")]
Model = Annotated[
    str | None,
    typer.Option(help="A model file, or the name of a shipped one: default, svm, cnn.", metavar="FILE|NAME"),
]
OperatingPointName = Annotated[
    OperatingPoint | None,
    typer.Option(
        "--operating-point",
        help="Decide at another threshold that the model stores: at most 1 % of genuine recordings called deepfake, or "
        "at most 5 % of deepfakes called genuine, of those held out in training.",
        show_default="the model's own",
    ),
]
Jobs = Annotated[
    int | None, typer.Option(min=1, help="Processes to use.", show_default="the cores this process may use")
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Write to this file, whole or not at all, instead of standard output."),
]
Data = Annotated[
    Path,
    typer.Argument(
        help="A directory with bonafide (genuine, real) and spoof (deepfake, fake) sub-directories, a CSV manifest, or "
        "an unpacked ASVspoof 2019 LA or PA directory.",
        metavar="DATA",
    ),
]
LayoutName = Annotated[str, typer.Option("--layout", help="auto, folders, csv or asvspoof2019.")]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        help="For manifests with other headers: OURS=THEIRS, such as label=kind. Ours: path, label, partition, "
        "source, group, system, speaker. Can be given several times.",
        metavar="OURS=THEIRS",
    ),
]


@app.callback()
def _root(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    pass


@app.command(epilog=EXIT_CODES)
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
            callback=_require_number,
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

    detector = _load_detector(_chosen_model(model, backend), threshold, operating_point)
    inputs = list(find_inputs(paths))
    if not inputs:
        raise DataError(f"no audio files below {', '.join(paths)}")
    refuse_overwriting(output, inputs)
    chosen = format_ or _format_of(output)
    # Records that appear line by line on the same terminal would tear the bar apart.
    lines_on_terminal = chosen != Format.TABLE and output is None and sys.stdout is not None and sys.stdout.isatty()
    tally = _Tally()
    with progress_bar("scoring", len(inputs), quiet=quiet or lines_on_terminal) as advance:
        results = score_all(inputs, detector, jobs=jobs or usable_cores())
        _write_results(tally.watch(results, advance), chosen, output, segments=segments)
    tally.finish(quiet=quiet, fail_on=fail_on)


@app.command(epilog=EXIT_CODES)
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

    detector = _load_detector(_chosen_model(model, backend), None, operating_point)
    refuse_overwriting(output, [str(data)])
    dataset = _read_dataset(data, layout, partition, ("eval", "dev"), column, quiet=quiet)
    tally = _Tally(most_named=20)
    chosen = format_ or (EvaluationFormat.JSON if _suffix(output) == "json" else EvaluationFormat.TABLE)
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


@app.command(epilog=EXIT_CODES)
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
        typer.Option(
            min=0.5, max=30, callback=_require_number, help="Length of a window.", show_default="the recipe's"
        ),
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
    noise, responses = (
        () if directory is None else read_recorded(directory, chosen.sample_rate) for directory in (noises, rooms)
    )
    dataset = _read_dataset(data, layout, partition, ("train",), column, quiet=quiet)
    with progress_bars(quiet=quiet) as progress:
        run = training.train(
            dataset,
            chosen,
            output,
            parts=cross_validate,
            jobs=jobs or usable_cores(),
            noises=noise,
            rooms=responses,
            cache=cache,
            log_dir=log_dir,
            progress=progress,
        )
    if runs is not None:
        append_run(runs, run)
    for bad in run.bad:
        say(f"left out: {bad['message']}")
    with open_output(None) as stream:
        tables.write_training(run, stream)


@app.command("runs", epilog=EXIT_CODES)
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


@app.command(epilog=EXIT_CODES)
def synthesize(
    bonafide: Annotated[
        Path,
        typer.Argument(help="A directory of genuine recordings (searched recursively).", metavar="BONAFIDE_DIR"),
    ],
    *,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="The directory to make: deepfakes in spoof/, and manifest.csv for train."),
    ],
    method: Annotated[
        list[Vocoder] | None,
        typer.Option(
            help="griffin-lim, world (needs the extra vocoders), lpc, harmonic, phase, excitation or upsample. Can be "
            "given several times: each recording gets one of them, by chance.",
            show_default="all that are installed",
            metavar="METHOD",
        ),
    ] = None,
    splice: Annotated[
        bool,
        typer.Option("--splice", help="Make partial fakes: one synthetic stretch of 1 to 3 s in a genuine recording."),
    ] = False,
    copies: Annotated[
        int, typer.Option(min=1, help="Deepfakes of each recording, each by another method while there are any left.")
    ] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same recordings, same deepfakes.")] = 0,
    jobs: Jobs = None,
    quiet: Quiet = False,
    verbose: Verbose = False,  # noqa: ARG001 - its callback does the work
) -> None:
    """
    Make deepfakes of genuine recordings, to train on.

    Each is the same speech by the same speaker, built anew by a vocoder that needs no weights; 16-bit FLAC.

    Of each recording the first 60 s are used.

    Examples:
        deepfake-audio synthesize genuine/ -o made/
        deepfake-audio synthesize genuine/ -o made/ --method lpc --method phase --copies 2
        deepfake-audio train made/manifest.csv --backend svm -o mine.onnx
    """
    from deepfake_audio.batch import find_inputs
    from deepfake_audio.parallel import usable_cores
    from deepfake_audio.synthesis import Plan, synthesise

    plan = Plan(tuple(method or ()), copies, splice, seed)
    with progress_bars(quiet=quiet) as progress:
        made = synthesise(
            bonafide, list(find_inputs([bonafide])), output, plan, jobs=jobs or usable_cores(), progress=progress
        )
    for message in made.bad:
        say(message)
    with open_output(None) as stream:
        stream.write(f"{made.manifest}\n")
    if not quiet:
        say(f"{made.n_copies:,} deepfakes made, {len(made.bad):,} recordings left out")
    if made.bad:
        raise typer.Exit(EXIT_SKIPPED)


def main() -> None:
    """Run the command line and turn errors into one line and an exit code."""
    prepare_streams()
    # An end that unwinds: temporary files are removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        app()
    except DeepfakeAudioError as error:
        if _state["verbose"]:
            traceback.print_exc()
        say(str(error))
        sys.exit(error.exit_code)
    except Exception:  # noqa: BLE001 - Python would exit with 1, which says that a deepfake was found
        traceback.print_exc()
        say("this is an error in deepfake-audio itself; please report it with the lines above")
        sys.exit(DeepfakeAudioError.exit_code)


# --- what the commands share -----------------------------------------------------------------------------------


class _Tally:
    """
    Counts verdicts as they pass by, and names what could not be scored.

    Args:
        most_named: After so many, what could not be scored is only counted; None names all.
    """

    def __init__(self, most_named: int | None = None) -> None:
        self.counts: dict[str, int] = {}
        self._most_named = most_named

    def watch(
        self, results: Iterable[Detection | Skipped], advance: Callable[[], None]
    ) -> Iterator[Detection | Skipped]:
        """Pass results on, counting."""
        from deepfake_audio.detector import Skipped

        for result in results:
            advance()
            if isinstance(result, Skipped):
                self._count("not scored")
                self._name(result.message)
            else:
                self._count(result.verdict)
            yield result

    def _name(self, message: str) -> None:
        n = self.counts["not scored"]
        if self._most_named is None or n <= self._most_named:
            say(message)
        elif n == self._most_named + 1:
            say("more recordings cannot be scored; from here on they are only counted")

    def _count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    def finish(self, *, quiet: bool, fail_on: FailOn | None = None) -> None:
        """Say the counts where there was more than one recording, and set the exit code."""
        if not quiet and sum(self.counts.values()) > 1:
            words = ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in sorted(self.counts.items()))
            say(f"{sum(self.counts.values()):,} recordings: {words}")
        if fail_on and self.counts.get(fail_on):
            raise typer.Exit(EXIT_FOUND)
        if self.counts.get("not scored"):
            raise typer.Exit(EXIT_SKIPPED)


def _chosen_model(model: str | None, backend: Backend | None) -> str:
    if model is not None and backend is not None:
        raise typer.BadParameter("give --backend or --model, not both")
    return model if model is not None else backend or "default"


def _load_detector(name: str, threshold: float | None, point: OperatingPoint | None) -> Detector:
    """Load a model that decides at a probability, or at one of the thresholds that it stores, or at its own."""
    from deepfake_audio.calibration import llr_at
    from deepfake_audio.detector import Detector

    if threshold is not None and point is not None:
        raise typer.BadParameter("give --threshold or --operating-point, not both")
    detector = Detector.load(name, threshold=None if threshold is None else llr_at(threshold))
    if point is not None:
        stored = detector.metadata.operating_points
        if point not in stored:
            raise ModelFileError(f"{name}: stores no operating point {point}; it has {', '.join(stored) or 'none'}")
        detector.threshold = stored[point]
    return detector


def _read_dataset(
    data: Path,
    layout: str,
    partition: str | None,
    preferred: tuple[str, ...],
    columns: list[str] | None,
    *,
    quiet: bool,
) -> Any:
    """Read a data set and choose a part: the one asked for, else the first of the preferred ones that it has."""
    from deepfake_audio.datasets import read_dataset

    if wrong := [pair for pair in columns or () if "=" not in pair]:
        raise typer.BadParameter(f"--column takes OURS=THEIRS, not {wrong[0]!r}")
    pairs = dict(pair.split("=", maxsplit=1) for pair in columns or ())
    dataset = read_dataset(data, layout, pairs)
    chosen = partition or next((name for name in preferred if name in dataset.partitions), None)
    if chosen:
        dataset = dataset.select(chosen)
    if not quiet:
        part = f", partition {chosen}" if chosen else ""
        say(f"{data} ({dataset.layout}{part}): {dataset.n_bonafide:,} genuine, {dataset.n_spoof:,} deepfake recordings")
    return dataset


def _suffix(output: Path | None) -> str:
    return "" if output is None else output.suffix.lower().lstrip(".")


def _format_of(output: Path | None) -> Format:
    suffix = _suffix(output)
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
