"""What the options of the commands are, and what several commands do with them."""

from __future__ import annotations

import enum
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deepfake_audio.errors import ModelFileError
from deepfake_audio.streams import say

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


class Backend(enum.StrEnum):
    """What learns."""

    SVM = "svm"
    CNN = "cnn"


class OperatingPoint(enum.StrEnum):
    """Which of the thresholds that a model stores decides."""

    BALANCED = "balanced"
    FEW_FALSE_ALARMS = "few-false-alarms"
    FEW_MISSES = "few-misses"


class FailOn(enum.StrEnum):
    """What makes the exit code 1."""

    DEEPFAKE = "deepfake"


state = {"verbose": False}


def _set_verbose(value: bool) -> bool:  # noqa: FBT001 - typer's form
    state["verbose"] = value
    return value


def require_number(value: float | None) -> float | None:
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
        "an unpacked ASVspoof 2019, 2021 or 5, In-the-Wild, WaveFake or Fake-or-Real.",
        metavar="DATA",
    ),
]
LayoutName = Annotated[
    str,
    typer.Option(
        "--layout",
        help="auto, folders, csv, asvspoof2019, asvspoof2021, asvspoof5, in-the-wild, wavefake or fake-or-real.",
    ),
]
Plots = Annotated[
    Path | None,
    typer.Option(file_okay=False, help="Write the plots into this directory, as PNG and SVG.", metavar="DIR"),
]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        help="For manifests with other headers: OURS=THEIRS, such as label=kind. Ours: path, label, partition, "
        "source, group, system, speaker. Can be given several times.",
        metavar="OURS=THEIRS",
    ),
]


class Tally:
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


def chosen_model(model: str | None, backend: Backend | None) -> str:
    """Return the name or file of the model that the two options mean."""
    if model is not None and backend is not None:
        raise typer.BadParameter("give --backend or --model, not both")
    return model if model is not None else backend or "default"


def load_detector(name: str, threshold: float | None, point: OperatingPoint | None) -> Detector:
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


def read_dataset(
    data: Path,
    layout: str,
    partition: str | None,
    preferred: tuple[str, ...],
    columns: list[str] | None,
    *,
    quiet: bool,
) -> Any:
    """Read a data set and choose a part: the one asked for, else the first of the preferred ones that it has."""
    from deepfake_audio import datasets

    if wrong := [pair for pair in columns or () if "=" not in pair]:
        raise typer.BadParameter(f"--column takes OURS=THEIRS, not {wrong[0]!r}")
    pairs = dict(pair.split("=", maxsplit=1) for pair in columns or ())
    dataset = datasets.read_dataset(data, layout, pairs)
    chosen = partition or next((name for name in preferred if name in dataset.partitions), None)
    if chosen:
        dataset = dataset.select(chosen)
    if not quiet:
        part = f", partition {chosen}" if chosen else ""
        say(f"{data} ({dataset.layout}{part}): {dataset.n_bonafide:,} genuine, {dataset.n_spoof:,} deepfake recordings")
    return dataset


def suffix_of(output: Path | None) -> str:
    """Return the suffix of a file in lower case, without its dot."""
    return "" if output is None else output.suffix.lower().lstrip(".")
