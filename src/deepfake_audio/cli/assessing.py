"""The steps of `deepfake-audio evaluate`, from what was typed to what is written."""

from __future__ import annotations

import datetime as dt
import enum
import importlib.metadata
import io
import json
import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, TypeVar

import typer

from deepfake_audio import __version__
from deepfake_audio.cli.options import OperatingPoint, Tally, load_detector, read_dataset, suffix_of
from deepfake_audio.errors import DataError, printable
from deepfake_audio.streams import progress_bar, refuse_overwriting, say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from deepfake_audio.datasets import Dataset
    from deepfake_audio.detector import Detector
    from deepfake_audio.evaluation import Trials
    from deepfake_audio.reports.assessment import Assessment
    from deepfake_audio.scorefiles import AsvScores
    from deepfake_audio.shortcuts import ShortcutCheck
    from deepfake_audio.stress import StressRow


class EvaluationFormat(enum.StrEnum):
    """How an evaluation is written."""

    TABLE = "table"
    JSON = "json"


class ScoreFormat(enum.StrEnum):
    """How score files are written."""

    ASVSPOOF2019 = "asvspoof2019"
    ASVSPOOF2021 = "asvspoof2021"
    ASVSPOOF5 = "asvspoof5"
    CSV = "csv"


_Result = TypeVar("_Result")
_VERSIONS = ("numpy", "scikit-learn", "onnxruntime")


@dataclass(frozen=True)
class Tested:
    """What is evaluated: a model or a score file, by the name that reports use, and its trials."""

    name: str
    trials: Trials
    detector: Detector | None = None
    format: str = ""


def refuse_contradictions(rules: Mapping[str, bool]) -> None:
    """Refuse options that do not go together: rule -> whether it is broken."""
    for rule, broken in rules.items():
        if broken:
            raise typer.BadParameter(rule)


def read_labelled(
    data: Path, layout: str, partition: str | None, subset: str | None, columns: list[str] | None, *, quiet: bool
) -> Dataset:
    """Read the data set and choose a part; of ASVspoof 2021 the subset that official figures are of."""
    dataset: Dataset = read_dataset(data, layout, partition, ("eval", "dev"), columns, quiet=True)
    if subset is not None:
        dataset = dataset.select_subset(subset)
    elif "eval" in dataset.subsets:
        dataset = dataset.select_subset("eval")
    if not quiet:
        parts = [f", partition {', '.join(dataset.partitions)}"] if dataset.partitions else []
        parts += [f", subset {', '.join(dataset.subsets)}"] if dataset.subsets else []
        n = f"{dataset.n_bonafide:,} genuine, {dataset.n_spoof:,} deepfake recordings"
        say(f"{data} ({dataset.layout}{''.join(parts)}): {n}")
    return dataset


def read_asv_scores(path: Path, key: Path | None) -> AsvScores:
    """Read the scores of a speaker verification system."""
    from deepfake_audio import scorefiles

    return scorefiles.read_asv_scores(path, key)


def tested_scores(paths: Sequence[Path], dataset: Dataset | None, threshold: float) -> list[Tested]:
    """Read score files, and say of each trial what it is: by the data set, or by the file itself."""
    from deepfake_audio import scorefiles
    from deepfake_audio.evaluation import Trials

    tested = []
    for path in paths:
        found = scorefiles.read_scores(path)
        if dataset is None:
            utterances, scores, n_unscored = scorefiles.utterances_of(found), found.scores, len(found.unscored)
        else:
            matched = scorefiles.match(found, dataset)
            utterances, scores, n_unscored = matched.utterances, matched.scores, len(matched.unscored)
        trials = Trials(tuple(utterances), scores, threshold, n_no_speech=n_unscored)
        tested.append(Tested(str(path), trials, format=found.format))
    return tested


def load_detectors(models: Sequence[str], point: OperatingPoint | None) -> dict[str, Detector]:
    """Load the models by the names under which they were given."""
    detectors = {model: load_detector(model, None, point) for model in models}
    if len(detectors) < len(models):
        raise typer.BadParameter("the same model was given twice")
    return detectors


def tested_models(
    detectors: Mapping[str, Detector],
    dataset: Dataset,
    tally: Tally,
    *,
    jobs: int | None,
    quiet: bool,
) -> list[Tested]:
    """Score the data set with each model."""
    from deepfake_audio.batch import score_all
    from deepfake_audio.evaluation import Trials
    from deepfake_audio.parallel import usable_cores

    _name_missing(dataset)
    paths = [str(utterance.path) for utterance in dataset.utterances]
    tested: list[Tested] = []
    for model, detector in detectors.items():
        # Names are what models call themselves, unless two call themselves alike.
        alike = sum(other.model.name == detector.model.name for other in detectors.values()) > 1
        counted = tally if not tested else Tally(most_named=0)
        with progress_bar(f"scoring with {detector.model.name}", len(paths), quiet=quiet) as advance:
            results = counted.watch(score_all(paths, detector, jobs=jobs or usable_cores()), advance)
            trials = Trials.of(dataset.utterances, results, detector.threshold)
        tested.append(Tested(printable(model) if alike else detector.model.name, trials, detector))
    return tested


def _name_missing(dataset: Dataset) -> None:
    """Say before any work which audio files are missing; where all are, there is nothing to do."""
    from deepfake_audio.datasets import missing_audio, require_audio

    missing = missing_audio(dataset)
    if len(missing) == len(dataset.utterances):
        require_audio(dataset)
    if missing:
        n = f"{len(missing):,} of {len(dataset.utterances):,} audio files"
        say(f"{dataset.root}: {n} are missing and will be left out, first: {missing[0]}")


def assess(
    tested: Sequence[Tested],
    dataset: Dataset | None,
    by: Sequence[str],
    asv: AsvScores | None,
    *,
    n_resamples: int,
    seed: int,
) -> Assessment:
    """Evaluate the first model or score file, and compare the others with it."""
    from deepfake_audio import evaluation
    from deepfake_audio.reports.assessment import Assessment

    first = tested[0]
    _refuse_unknown(by, first.trials)
    if len({each.name for each in tested}) < len(tested):
        raise typer.BadParameter("the same model or score file was given twice")
    if asv is not None and dataset is not None and dataset.subsets and any(asv.subsets):
        asv = _in_subsets(asv, dataset.subsets)
    models = {each.name: each.trials for each in tested}
    return Assessment(
        subject=first.name,
        data="" if dataset is None else str(dataset.root),
        layout=first.format if dataset is None else dataset.layout,
        partitions=() if dataset is None else dataset.partitions,
        subsets=() if dataset is None else dataset.subsets,
        model=None if first.detector is None else first.detector.model,
        evaluation=evaluation.evaluate(
            first.trials, by=(*evaluation.BREAKDOWNS, *by), asv=asv, n_resamples=n_resamples, seed=seed
        ),
        comparison=evaluation.compare(models, n_resamples=n_resamples, seed=seed) if len(models) > 1 else None,
        threshold_name=_threshold_name(first),
        command=shlex.join(["deepfake-audio", *sys.argv[1:]]),
        date=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        versions={"deepfake-audio": __version__, **{name: importlib.metadata.version(name) for name in _VERSIONS}},
    )


def _in_subsets(asv: AsvScores, subsets: Iterable[str]) -> AsvScores:
    """Return the ASV scores of the same subsets as the trials."""
    (only,) = subsets if len(tuple(subsets)) == 1 else (None,)
    return asv if only is None else asv.where(subset=only)


def _refuse_unknown(by: Iterable[str], trials: Trials) -> None:
    for name in by:
        if not any(trials.values(name)):
            facts = dict.fromkeys(fact for utterance in trials.utterances for fact in utterance.facts)
            there = ", ".join(("system", "source", "speaker", "partition", "group", "duration", *facts))
            raise DataError(f"--by {name}: the data do not tell it; names to choose from: {there}")


def _threshold_name(tested: Tested) -> str:
    if tested.detector is None:
        return f"the threshold {tested.trials.threshold:g}"
    own = tested.detector.threshold == tested.detector.metadata.threshold
    return "the model's own threshold" if own else "the chosen operating point"


def stress_rows(
    tested: Tested,
    dataset: Dataset,
    noises: Path | None,
    rooms: Path | None,
    *,
    seed: int,
    jobs: int | None,
    quiet: bool,
) -> tuple[StressRow, ...]:
    """Score each clip again under all conditions."""
    from deepfake_audio import stress
    from deepfake_audio.examples import read_recorded
    from deepfake_audio.parallel import usable_cores

    detector = tested.detector
    assert detector is not None  # noqa: S101 - for the type checker: stress needs audio
    noise, responses = (
        () if directory is None else read_recorded(directory, detector.metadata.sample_rate)
        for directory in (noises, rooms)
    )
    conditions = stress.conditions(noise, responses)
    paths = [str(utterance.path) for utterance in dataset.utterances]
    with progress_bar("under stress", len(paths), quiet=quiet) as advance:
        results = stress.run_stress(paths, detector, conditions, jobs=jobs or usable_cores(), seed=seed)
        labels = [utterance.is_bonafide for utterance in dataset.utterances]
        return stress.stress_table(labels, _counted(results, advance), detector.threshold)


def _counted(results: Iterable[_Result], advance: Callable[[], None]) -> Iterator[_Result]:
    for result in results:
        advance()
        yield result


def check_shortcuts(dataset: Dataset, *, jobs: int | None, quiet: bool) -> ShortcutCheck:
    """Measure what the files give away without listening."""
    from deepfake_audio import shortcuts
    from deepfake_audio.parallel import usable_cores

    paths = [str(utterance.path) for utterance in dataset.utterances]
    with progress_bar("looking for shortcuts", len(paths), quiet=quiet) as advance:
        measured = _counted(shortcuts.measure_all(paths, jobs=jobs or usable_cores()), advance)
        return shortcuts.shortcut_check(dataset.utterances, measured)


@dataclass(frozen=True)
class Targets:
    """Where an evaluation goes, and how it is written."""

    output: Path | None
    format: EvaluationFormat | None
    reports: tuple[Path, ...]
    plots: Path | None
    scores: Path | None
    score_format: ScoreFormat

    @property
    def machine(self) -> bool:
        """Whether the result is for programs."""
        if self.format is not None:
            return self.format is EvaluationFormat.JSON
        return suffix_of(self.output) == "json"

    def refuse_unwritable(self, inputs: Sequence[Path]) -> None:
        """Find out before hours of work whether something could not be written, or would destroy an input."""
        from deepfake_audio.files import require_writable

        late = [path for path in (self.scores, *self.reports) if path is not None]
        files = late if self.output is None else [self.output, *late]
        for path in files:
            refuse_overwriting(path, [str(each) for each in inputs])
        if len({os.path.abspath(path) for path in files}) < len(files):  # noqa: PTH100 - links may be loops
            raise typer.BadParameter("two results have the same name")
        for path in late:
            require_writable(path)
        if wrong := [path for path in self.reports if suffix_of(path) not in _REPORTS]:
            raise typer.BadParameter(f"--report writes {', '.join(f'.{each}' for each in _REPORTS)}, not {wrong[0]}")

    def refuse_ids(self, dataset: Dataset) -> None:
        """Find out before hours of work whether the score format has a name for each utterance."""
        if self.scores is not None:
            from deepfake_audio.scorefiles import write_scores

            write_scores(io.StringIO(), ((utterance, 0.0) for utterance in dataset.utterances), self.score_format)

    def write(self, found: Assessment, tested: Sequence[Tested], stream: TextIO) -> None:
        """Write everything that was asked for."""
        from deepfake_audio.reports import documents, records

        if self.scores is not None:
            self._write_scores(tested[0].trials)
        drawings = self._draw(found, tested)
        for path in self.reports:
            _REPORTS[suffix_of(path)](found, path, drawings, self.plots)
        if self.machine:
            stream.write(json.dumps(records.evaluation_record(found), indent=2, ensure_ascii=False) + "\n")
        else:
            documents.write_text(found, stream)

    def _write_scores(self, trials: Trials) -> None:
        from deepfake_audio.scorefiles import write_scores
        from deepfake_audio.streams import open_output

        with open_output(self.scores) as stream:
            write_scores(stream, zip(trials.utterances, trials.scores.tolist(), strict=True), self.score_format)

    def _draw(self, found: Assessment, tested: Sequence[Tested]) -> dict[str, str]:
        """Return name -> SVG of each plot that is wanted, and save the files."""
        if self.plots is None and not any(suffix_of(path) != "md" for path in self.reports):
            return {}
        from deepfake_audio import plots
        from deepfake_audio.reports.pictures import pictures

        margins = {each.name: each.detector.metadata.margin for each in tested if each.detector is not None}
        drawings = {}
        for name, figure in pictures(found, {each.name: each.trials for each in tested}, margins):
            if self.plots is not None:
                plots.save(figure, self.plots, name)
            drawings[name] = plots.svg_text(figure)
        return drawings


def _write_html(found: Assessment, path: Path, drawings: Mapping[str, str], _directory: Path | None) -> None:
    from deepfake_audio.reports.documents import page
    from deepfake_audio.streams import open_output

    with open_output(path) as stream:
        stream.write(page(found, drawings))


def _write_markdown(found: Assessment, path: Path, drawings: Mapping[str, str], directory: Path | None) -> None:
    from deepfake_audio.reports.documents import markdown
    from deepfake_audio.streams import open_output

    places = {}
    if directory is not None:
        beside = os.path.relpath(directory, path.parent)
        places = {name: f"{Path(beside).as_posix()}/{name}.png" for name in drawings}
    with open_output(path) as stream:
        stream.write(markdown(found, places))


_REPORTS = {"html": _write_html, "htm": _write_html, "md": _write_markdown}
