"""
Training: from utterances to a model file.

    utterances -> speech -> windows, augmented -> features -> backend -> equality check -> calibration -> model file

Recordings that share a ``group`` (a speaker, an author, a list of sentences) stay on one side of every split: some
groups teach, some say when to stop, and some, seen by neither, calibrate.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import itertools
import json
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from deepfake_audio import __version__, features
from deepfake_audio.audio import Stretch, cut_windows, open_recording, speech_stretches
from deepfake_audio.augment import augment
from deepfake_audio.backends import Examples, Options, Trained, load_backend
from deepfake_audio.calibration import Calibration, fit_calibration
from deepfake_audio.errors import AudioError, DataError, TrainingError
from deepfake_audio.files import replacing, require_writable
from deepfake_audio.metrics import cllr, eer
from deepfake_audio.modelfile import INPUT, OUTPUT, ModelMetadata, write_model
from deepfake_audio.parallel import ordered_map

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from deepfake_audio.datasets import Dataset, Utterance
    from deepfake_audio.features import FeatureSpec

FloatArray = npt.NDArray[np.float32]

MAX_BAD_SHARE = 0.05
# Of one recording no more speech than this is used, so that a few long ones do not outweigh all others.
MAX_SPEECH_SECONDS = 60.0
# Verdicts between odds of 2 to 1 for either side are inconclusive.
MARGIN = float(np.log(2.0))
_TOLERANCE = 1e-3
_EXAMPLES_PER_TASK = 32


class Progress(Protocol):
    """Told how training goes."""

    def __call__(self, stage: str, step: int, steps: int, note: str = "") -> None:
        """Say that ``step`` of ``steps`` of a stage are done."""


def _silent(stage: str, step: int, steps: int, note: str = "") -> None:
    """Report nothing."""


@dataclass(frozen=True)
class Recipe:
    """
    Every choice of a training run.

    Attributes:
        backend: A key of ``backends.BACKENDS``.
        name: What the model calls itself.
        spec: The front end; None takes the backend's own.
        window_seconds: Length of a window; None takes the backend's own.
        seed: Where all randomness starts.
        augment: Whether to train on changed copies of the windows as well.
        epochs: How often the CNN goes through the data, at most.
    """

    backend: str
    name: str = ""
    spec: FeatureSpec | None = None
    window_seconds: float | None = None
    seed: int = 0
    augment: bool = True
    epochs: int = 50


@dataclass(frozen=True)
class TrainingRun:
    """What a run did; the run record is this as JSON."""

    model: str
    sha256: str
    metadata: ModelMetadata
    facts: dict[str, Any]
    bad: list[dict[str, str]]
    seconds: dict[str, float]


@dataclass
class Speech:
    """The speech of many recordings, in one temporary file instead of in memory."""

    file: IO[bytes]
    utterances: list[Utterance] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)
    ends: list[int] = field(default_factory=lambda: [0])

    def append(self, utterance: Utterance, sha256: str, signal: FloatArray) -> None:
        """Add a recording's speech."""
        self.file.write(signal.astype(np.float32).tobytes())
        self.utterances.append(utterance)
        self.hashes.append(sha256)
        self.ends.append(self.ends[-1] + len(signal))

    def signals(self) -> FloatArray:
        """Return all of it, end to end, mapped from the file."""
        self.file.flush()
        return np.memmap(self.file.name, dtype=np.float32, mode="r")

    def fingerprint(self) -> str:
        """Return a hash of the audio and its labels, whatever the order or the names of the files."""
        lines = sorted(f"{h} {u.label}" for h, u in zip(self.hashes, self.utterances, strict=True))
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def train(
    dataset: Dataset,
    recipe: Recipe,
    output: Path,
    *,
    jobs: int = 1,
    log_dir: Path | None = None,
    progress: Progress = _silent,
) -> TrainingRun:
    """
    Train a model and write its file, and a run record beside it.

    Args:
        dataset: What to learn from; nothing else is looked at.
        recipe: How.
        output: The model file to write; the record gets the suffix ``.json``.
        jobs: Processes for reading and augmenting.
        log_dir: Where TensorBoard logs go.
        progress: Told how it goes.

    Raises:
        DataError: If a class is missing, or more than 5 % of the files cannot be used.
        TrainingError: If the model does not work, or its ONNX form differs from the original.
        MissingExtraError: If the backend's library is not installed.
    """
    backend = load_backend(recipe.backend)
    for path in (output, record_path(output)):
        require_writable(path)
    spec = recipe.spec or backend.DEFAULT_SPEC
    if bool(spec.statistics) != bool(backend.DEFAULT_SPEC.statistics):
        wants = "needs statistics over the frames" if backend.DEFAULT_SPEC.statistics else "takes frames, no statistics"
        raise DataError(f"features: the backend {recipe.backend} {wants}, got {list(spec.statistics)}")
    window = round((recipe.window_seconds or backend.WINDOW_SECONDS) * spec.sample_rate)
    _require_both_classes(dataset.utterances, str(dataset.root))
    clock = _Clock()
    with (
        tempfile.TemporaryDirectory(prefix="deepfake-audio-") as temporary,
        (Path(temporary) / "speech").open("wb") as file,
    ):
        speech, bad = _read_speech(Speech(file), dataset, spec.sample_rate, jobs, progress)
        clock.lap("reading")
        parts = split(speech.utterances, recipe.seed)
        weights = balanced_weights(speech.utterances)
        copies = 1 + backend.COPIES if recipe.augment else 1
        maker = _ExampleMaker(speech, weights, spec, window, recipe.seed, jobs, Path(temporary))
        training = maker.examples(parts == TRAINING, copies, progress, "features")
        validation = maker.examples(parts == VALIDATION, 1, progress, "validation features")
        clock.lap("features")
        options = Options(
            recipe.seed, recipe.epochs, log_dir, lambda step, n, note: progress("training", step, n, note)
        )
        trained = backend.train(training, validation, options)
        clock.lap("training")
        model = _joined(features.frontend(spec, window), trained.onnx)
        difference = _require_equal(model, trained, spec, maker.windows(np.flatnonzero(parts == VALIDATION)[:64]))
        held_out = np.flatnonzero(parts == CALIBRATION)
        calibration, quality = _calibrate(model, maker, speech, held_out, weights[held_out])
        clock.lap("calibration")
        metadata = ModelMetadata(
            name=recipe.name or f"{recipe.backend}-{spec.kind}",
            backend=recipe.backend,
            sample_rate=spec.sample_rate,
            window_samples=window,
            hop_samples=window,
            calibration=calibration,
            threshold=0.0,
            margin=MARGIN,
            features=spec.to_dict(),
            training={
                "seed": recipe.seed,
                "augment": recipe.augment,
                "data": _data_facts(dataset, speech, parts),
                "held_out": quality,
                "onnx_difference": difference,
                **{key: value for key, value in trained.facts.items() if key != "history"},
            },
            versions=_versions(recipe.backend),
        )
        sha256 = write_model(output, model, metadata)
    run = TrainingRun(output.name, sha256, metadata, trained.facts, bad, clock.laps)
    with replacing(record_path(output)) as stream:
        stream.write(json.dumps(asdict(run), indent=2, sort_keys=True).encode() + b"\n")
    return run


def record_path(model: Path) -> Path:
    """Return where the run record of a model file lies."""
    return model.with_suffix(".json")


class _Clock:
    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, name: str) -> None:
        now = time.monotonic()
        self.laps[name] = round(now - self._last, 1)
        self._last = now


def _require_both_classes(utterances: Sequence[Utterance], where: str) -> None:
    n_bonafide = sum(u.is_bonafide for u in utterances)
    if n_bonafide == 0 or n_bonafide == len(utterances):
        found = "bona fide" if n_bonafide else "spoofed"
        raise DataError(f"{where}: all {len(utterances):,} recordings are {found}; training needs both classes")


# --- reading ---------------------------------------------------------------------------------------------------


def _read_speech(
    speech: Speech, dataset: Dataset, sample_rate: int, jobs: int, progress: Progress
) -> tuple[Speech, list[dict[str, str]]]:
    bad = []
    utterances = dataset.utterances
    tasks = ((str(u.path), sample_rate) for u in utterances)
    for done, (utterance, result) in enumerate(
        zip(utterances, ordered_map(_speech_of, tasks, jobs=jobs), strict=True), start=1
    ):
        if isinstance(result, AudioError):
            bad.append({"path": utterance.utterance_id, "reason": result.reason, "message": str(result)})
        elif len(result[1]) == 0:
            message = f"{utterance.path}: there is no speech in it"
            bad.append({"path": utterance.utterance_id, "reason": "no_speech", "message": message})
        else:
            speech.append(utterance, *result)
        progress("reading", done, len(utterances), f"{len(bad)} unusable" if bad else "")
    if len(bad) > MAX_BAD_SHARE * len(utterances):
        raise DataError(
            f"{dataset.root}: {len(bad):,} of {len(utterances):,} files cannot be used, more than "
            f"{MAX_BAD_SHARE:.0%}; the first: {bad[0]['message']}"
        )
    _require_both_classes(speech.utterances, f"{dataset.root}, after leaving out {len(bad)} unusable files")
    return speech, bad


def _speech_of(task: tuple[str, int]) -> tuple[str, FloatArray] | AudioError:
    """Return a file's hash and its speech, pauses left out; runs in a worker."""
    path, sample_rate = task
    held: list[FloatArray] = []
    n_wanted = round(MAX_SPEECH_SECONDS * sample_rate)
    try:
        with open_recording(path) as recording:
            for stretch in speech_stretches(recording.blocks(sample_rate), sample_rate):
                held.append(stretch.signal[: n_wanted - sum(map(len, held))])
            return recording.sha256, np.concatenate(held) if held else np.empty(0, dtype=np.float32)
    except AudioError as error:
        return error


# --- splitting -------------------------------------------------------------------------------------------------

TRAINING, VALIDATION, CALIBRATION = 0, 1, 2
# Of ten parts made of whole groups one says when to stop, two calibrate, and seven teach.
_PARTS = 10
_ASSIGNMENT = (VALIDATION, CALIBRATION, TRAINING, CALIBRATION)
_FEWEST_PARTS = 3


def split(utterances: Sequence[Utterance], seed: int) -> npt.NDArray[np.int64]:
    """
    Assign each utterance to training, validation or calibration: 70, 10 and 20 %, whole groups only.

    An utterance without a group belongs with its source, else its speaker, else it stands alone.

    Raises:
        DataError: If there are too few groups to have both classes in every part.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    groups = np.array([u.group or u.source or u.speaker or u.utterance_id for u in utterances])
    if len(np.unique(groups)) == 1:
        groups = np.array([u.utterance_id for u in utterances])
    labels = np.array([u.is_bonafide for u in utterances])
    most = min(_PARTS, len(np.unique(groups)), *np.bincount(labels, minlength=2).tolist())
    # With few groups a tenth of them may lack a class; larger parts are less likely to.
    for n_parts in range(most, _FEWEST_PARTS - 1, -1):
        assigned = np.full(len(utterances), TRAINING)
        folds = StratifiedGroupKFold(n_parts, shuffle=True, random_state=seed).split(labels, labels, groups)
        for (_, members), part in zip(folds, _ASSIGNMENT, strict=False):
            assigned[members] = part
        if all(len(np.unique(labels[assigned == part])) == 2 for part in _ASSIGNMENT):  # noqa: PLR2004
            return assigned
    raise DataError(
        f"{len(utterances)} recordings in {len(np.unique(groups))} groups are too few: genuine and spoofed ones are "
        "needed in each of three parts (training, validation, calibration) that share no group"
    )


def balanced_weights(utterances: Sequence[Utterance]) -> npt.NDArray[np.float64]:
    """
    Return how much each utterance counts: both classes the same, and within a class large sources less per utterance.

    An utterance of a source with n of its class weighs 1 / sqrt(n); each class has a mean of 1.
    """
    keys = [f"{u.label} {u.source}" for u in utterances]
    _, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
    weights = 1.0 / np.sqrt(counts[inverse])
    labels = np.array([u.is_bonafide for u in utterances])
    for label in (True, False):
        weights[labels == label] /= weights[labels == label].mean()
    return weights


# --- examples --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _ExampleMaker:
    """Makes windows and their features out of the speech that was read."""

    speech: Speech
    weights: npt.NDArray[np.float64]
    spec: FeatureSpec
    window: int
    seed: int
    jobs: int
    directory: Path

    def windows(self, rows: npt.NDArray[np.int64]) -> FloatArray:
        """Return all windows of some recordings, as the detector would cut them."""
        return np.stack([w for row in rows for w in self.windows_of(row)])

    def windows_of(self, row: int) -> list[FloatArray]:
        """Return the windows of one recording, as the detector would cut them."""
        signal = np.array(self.speech.signals()[self.speech.ends[row] : self.speech.ends[row + 1]])
        return [w.signal for w in cut_windows([Stretch(0, signal)], self.spec.sample_rate, self.window, self.window)]

    def examples(self, chosen: npt.NDArray[np.bool_], copies: int, progress: Progress, stage: str) -> Examples:
        """
        Return the examples of the chosen recordings.

        Each recording's speech is divided into pieces of at most two windows; each piece gives one window a copy, from
        a random place in it. The pieces of a recording share its weight.
        """
        pieces = [(row, *piece) for row in np.flatnonzero(chosen).tolist() for piece in self._pieces(row)]
        rows = np.array([row for row, _, _ in pieces])
        shape = features.feature_shape(self.spec, self.window)
        out = np.lib.format.open_memmap(
            self.directory / f"{stage}.npy", mode="w+", dtype=np.float32, shape=(copies, len(pieces), *shape)
        )
        self.speech.signals()  # flushes what was written, for the workers
        tasks = [
            (copy, at, pieces[at : at + _EXAMPLES_PER_TASK])
            for copy in range(copies)
            for at in range(0, len(pieces), _EXAMPLES_PER_TASK)
        ]
        done = ordered_map(
            _features_of,
            tasks,
            jobs=self.jobs,
            initializer=_prepare_features,
            initargs=(self.speech.file.name, self.spec, self.window, self.seed),
        )
        for number, ((copy, at, _), values) in enumerate(zip(tasks, done, strict=True), start=1):
            out[copy, at : at + len(values)] = values
            progress(stage, number, len(tasks))
        share = 1.0 / np.bincount(rows)[rows]
        weights = self.weights[rows] * share
        is_bonafide = np.array([self.speech.utterances[row].is_bonafide for row in rows])
        return Examples(out, is_bonafide, weights / weights.mean())

    def _pieces(self, row: int) -> Iterator[tuple[int, int]]:
        first, last = self.speech.ends[row], self.speech.ends[row + 1]
        n_pieces = -(-(last - first) // (2 * self.window))
        edges = np.linspace(first, last, n_pieces + 1).round().astype(int).tolist()
        yield from itertools.pairwise(edges)


_worker: dict[str, Any] = {}


def _prepare_features(path: str, spec: FeatureSpec, window: int, seed: int) -> None:
    _worker.update(signals=np.memmap(path, dtype=np.float32, mode="r"), spec=spec, window=window, seed=seed)


def _features_of(task: tuple[int, int, list[tuple[int, int, int]]]) -> FloatArray:
    """Return the features of some pieces in one copy; runs in a worker, its randomness depends on the piece alone."""
    copy, at, pieces = task
    spec, window = _worker["spec"], _worker["window"]
    windows = []
    for number, (_, first, last) in enumerate(pieces, start=at):
        rng = np.random.default_rng([_worker["seed"], copy, number])
        start = first + (int(rng.integers(0, max(1, last - first - window + 1))) if copy else 0)
        signal = np.resize(_worker["signals"][start : min(start + window, last)], window)
        windows.append(augment(signal, spec.sample_rate, rng) if copy else signal)
    return features.extract(np.stack(windows), spec, batch_size=4)


# --- from a trained backend to a model -------------------------------------------------------------------------


def _joined(front: Any, classifier: Any) -> Any:
    """Join front end and classifier into one graph from ``signal`` to ``score``."""
    import onnx

    (source,) = [output.name for output in front.graph.output]
    (target,) = [i.name for i in classifier.graph.input]
    front = onnx.compose.add_prefix(front, "frontend/")
    classifier = onnx.compose.add_prefix(classifier, "classifier/")
    # A converter may declare less than it was asked for; what it emitted is valid for what it was asked for.
    opsets: dict[str, int] = {}
    for opset in (*front.opset_import, *classifier.opset_import):
        opsets[opset.domain] = max(opset.version, opsets.get(opset.domain, 0))
    del front.opset_import[:], classifier.opset_import[:]
    for model in (front, classifier):
        model.opset_import.extend(onnx.helper.make_opsetid(d, v) for d, v in sorted(opsets.items()))
    joined = onnx.compose.merge_models(
        front, classifier, io_map=[(f"frontend/{source}", f"classifier/{target}")], name="deepfake-audio"
    )
    _rename(joined.graph, f"frontend/{features.INPUT}", INPUT)
    _rename(joined.graph, "classifier/score", OUTPUT)
    del joined.graph.value_info[:]
    joined.producer_name, joined.producer_version = "deepfake-audio", __version__
    onnx.checker.check_model(joined, full_check=True)
    return joined


def _rename(graph: Any, old: str, new: str) -> None:
    for value in (*graph.input, *graph.output):
        value.name = new if value.name == old else value.name
    for node in graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]


def _run(model: Any) -> Callable[[FloatArray], FloatArray]:
    from deepfake_audio.runtime import open_session

    session = open_session(model.SerializeToString())

    def scores(windows: FloatArray) -> FloatArray:
        out: FloatArray = session.run([OUTPUT], {INPUT: windows})[0]
        return out

    return scores


def _require_equal(model: Any, trained: Trained, spec: FeatureSpec, windows: FloatArray) -> float:
    """Return the largest difference between the model file's graph and the native model on real windows."""
    native = trained.score(features.extract(windows, spec))
    difference = float(np.abs(native - _run(model)(windows)).max())
    if not difference <= _TOLERANCE:
        raise TrainingError(
            f"the ONNX model differs from the trained one by {difference:.2g} on {len(windows)} windows "
            f"(at most {_TOLERANCE:g} is allowed); nothing was written"
        )
    return float(f"{difference:.1g}")


def _calibrate(
    model: Any,
    maker: _ExampleMaker,
    speech: Speech,
    rows: npt.NDArray[np.int64],
    weights: npt.NDArray[np.float64],
) -> tuple[Calibration, dict[str, float]]:
    """Calibrate on recordings held out for it; return also how well the model does there."""
    score = _run(model)
    scores = np.array([score(np.stack(maker.windows_of(row))).mean() for row in rows], dtype=np.float64)
    is_bonafide = np.array([speech.utterances[row].is_bonafide for row in rows])
    calibration = fit_calibration(scores, is_bonafide, weights)
    llr = np.array([calibration.llr(s) for s in scores])
    bonafide, spoof = llr[is_bonafide], llr[~is_bonafide]
    quality = {"n": len(rows), "eer": eer(bonafide, spoof).rate, "cllr": cllr(bonafide, spoof)}
    return calibration, {name: round(value, 4) for name, value in quality.items()}


# --- what the record says --------------------------------------------------------------------------------------


def _data_facts(dataset: Dataset, speech: Speech, parts: npt.NDArray[np.int64]) -> dict[str, Any]:
    def counts(part: int) -> dict[str, int]:
        chosen = [u for u, p in zip(speech.utterances, parts, strict=True) if p == part]
        n_bonafide = sum(u.is_bonafide for u in chosen)
        return {
            "bonafide": n_bonafide,
            "spoof": len(chosen) - n_bonafide,
            "sources": len({u.source for u in chosen}),
        }

    return {
        "layout": dataset.layout,
        "fingerprint": speech.fingerprint(),
        "training": counts(TRAINING),
        "validation": counts(VALIDATION),
        "calibration": counts(CALIBRATION),
    }


def _versions(backend: str) -> dict[str, str]:
    names = ["numpy", "librosa", "onnx", "onnxruntime"]
    names += {"svm": ["scikit-learn", "skl2onnx"], "cnn": ["keras", "tensorflow", "tf2onnx"]}[backend]
    return {"deepfake-audio": __version__, **{name: importlib.metadata.version(name) for name in names}}
