"""
Training: from utterances to a model file.

    utterances -> speech -> windows, augmented -> features -> backend -> equality check -> calibration -> model file

The first half is in ``examples.py``. Nothing is written unless the file's graph gives the same scores as the model that
was trained.
"""

from __future__ import annotations

import functools
import importlib.metadata
import json
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from deepfake_audio import __version__, features
from deepfake_audio.backends import Options, Trained, load_backend, require_extra
from deepfake_audio.calibration import Calibration, fit_calibration
from deepfake_audio.errors import DataError, OutputError, TrainingError, printable
from deepfake_audio.examples import (
    CALIBRATION,
    TRAINING,
    VALIDATION,
    ExampleMaker,
    Progress,
    Speech,
    balanced_weights,
    read_speech,
    refuse_contradictions,
    require_both_classes,
    silent,
    split,
)
from deepfake_audio.files import replacing, require_writable
from deepfake_audio.metrics import cllr, eer
from deepfake_audio.modelfile import INPUT, MAX_NAME, OUTPUT, ModelMetadata, is_model_name, write_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepfake_audio.backends import Backend
    from deepfake_audio.datasets import Dataset
    from deepfake_audio.features import FeatureSpec

FloatArray = npt.NDArray[np.float32]

# Verdicts between odds of 2 to 1 for either side are inconclusive.
MARGIN = float(np.log(2.0))
# How far the scores of the written graph may be from those of the trained model, and on how many windows.
_TOLERANCE = 1e-3
_N_COMPARED = 128
# What is left of a spectrogram after four halvings must be something.
_SMALLEST_PICTURE = 16
# Windows per run of a model, which bounds memory.
_BATCH = 8


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

    def __post_init__(self) -> None:
        """Refuse, before hours of training, a name that a model file does not take."""
        if self.name and not is_model_name(self.name):
            raise DataError(f"a model's name has at most {MAX_NAME} printable characters, got {printable(self.name)!r}")


@dataclass(frozen=True)
class TrainingRun:
    """What a run did; the run record is this as JSON."""

    model: str
    sha256: str
    metadata: ModelMetadata
    facts: dict[str, Any]
    bad: list[dict[str, str]]
    seconds: dict[str, float]


def train(
    dataset: Dataset,
    recipe: Recipe,
    output: Path,
    *,
    jobs: int = 1,
    log_dir: Path | None = None,
    progress: Progress = silent,
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
    spec = _front_end(recipe, backend)
    require_extra(backend)
    for path in (output, record_path(output)):
        require_writable(path)
    if log_dir is not None:
        _require_directory(log_dir)
    require_both_classes(dataset.utterances, str(dataset.root))
    window = _window_samples(recipe, backend, spec)
    clock = _Clock()
    with (
        tempfile.TemporaryDirectory(prefix="deepfake-audio-") as temporary,
        (Path(temporary) / "speech").open("wb") as file,
    ):
        speech, bad = read_speech(Speech(file), dataset, spec.sample_rate, jobs, progress)
        clock.lap("reading")
        refuse_contradictions(speech.utterances, speech.hashes)
        parts = split(speech.utterances, recipe.seed, speech.hashes)
        maker = ExampleMaker(speech, spec, window, recipe.seed, jobs, Path(temporary))
        copies = 1 + backend.COPIES if recipe.augment else 1
        training = maker.examples(parts == TRAINING, copies, progress, "features")
        validation = maker.examples(parts == VALIDATION, 1, progress, "validation features")
        clock.lap("features")
        options = Options(recipe.seed, recipe.epochs, log_dir, functools.partial(progress, "training"))
        trained = backend.train(training, validation, options)
        clock.lap("training")
        model = _joined(features.frontend(spec, window), trained.onnx)
        some = np.flatnonzero(parts == VALIDATION)[:_N_COMPARED]
        difference = _require_equal(model, trained, spec, maker.windows(some)[:_N_COMPARED])
        calibration, quality = _calibrate(model, maker, np.flatnonzero(parts == CALIBRATION))
        clock.lap("calibration")
        data = _data_facts(dataset, speech, parts)
    facts = {"data": data, "held_out": quality, "onnx_difference": difference, **trained.facts}
    metadata = _metadata(recipe, spec, window, calibration, facts)
    sha256 = write_model(output, model, metadata)
    run = TrainingRun(output.name, sha256, metadata, trained.facts, bad, clock.laps)
    with replacing(record_path(output)) as stream:
        stream.write(json.dumps(asdict(run), indent=2, sort_keys=True).encode() + b"\n")
    return run


def _front_end(recipe: Recipe, backend: Backend) -> FeatureSpec:
    """Return the spec to use, after finding out that the backend can learn from it."""
    spec, own = recipe.spec or backend.DEFAULT_SPEC, backend.DEFAULT_SPEC
    if bool(spec.statistics) != bool(own.statistics):
        wants = "needs statistics over the frames" if own.statistics else "takes frames, no statistics"
        raise DataError(f"features: the backend {recipe.backend} {wants}, got {list(spec.statistics)}")
    smallest = min(features.feature_shape(spec, _window_samples(recipe, backend, spec)))
    if not own.statistics and smallest < _SMALLEST_PICTURE:
        raise DataError(
            f"features: the backend {recipe.backend} needs {_SMALLEST_PICTURE} bands and frames or more, got {smallest}"
        )
    return spec


def _window_samples(recipe: Recipe, backend: Backend, spec: FeatureSpec) -> int:
    return round((recipe.window_seconds or backend.WINDOW_SECONDS) * spec.sample_rate)


def _require_directory(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: cannot be made ({error.strerror})") from error


def record_path(model: Path) -> Path:
    """Return where the run record lies: beside the model, with ``.json`` for ``.onnx``, or after any other name."""
    return model.with_name(f"{model.name.removesuffix('.onnx')}.json")


class _Clock:
    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, name: str) -> None:
        now = time.monotonic()
        self.laps[name] = round(now - self._last, 1)
        self._last = now


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
        batches = (windows[at : at + _BATCH] for at in range(0, len(windows), _BATCH))
        return np.concatenate([session.run([OUTPUT], {INPUT: batch})[0] for batch in batches])

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


def _calibrate(model: Any, maker: ExampleMaker, rows: npt.NDArray[np.int64]) -> tuple[Calibration, dict[str, float]]:
    """Calibrate on recordings held out for it; return also how well the model does there."""
    score = _run(model)
    scores = np.array([score(maker.windows([row])).mean() for row in rows], dtype=np.float64)
    utterances = [maker.speech.utterances[row] for row in rows]
    is_bonafide = np.array([u.is_bonafide for u in utterances])
    calibration = fit_calibration(scores, is_bonafide, balanced_weights(utterances))
    llr = np.array([calibration.llr(s) for s in scores])
    bonafide, spoof = llr[is_bonafide], llr[~is_bonafide]
    quality = {"n": len(rows), "eer": eer(bonafide, spoof).rate, "cllr": cllr(bonafide, spoof)}
    return calibration, {name: round(value, 4) for name, value in quality.items()}


# --- what the record says --------------------------------------------------------------------------------------


def _metadata(
    recipe: Recipe, spec: FeatureSpec, window: int, calibration: Calibration, facts: dict[str, Any]
) -> ModelMetadata:
    """Return what goes into the file: nothing that differs between two runs on the same data with the same seed."""
    return ModelMetadata(
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
            "augment": recipe.augment and load_backend(recipe.backend).COPIES > 0,
            **{key: value for key, value in facts.items() if key != "history"},
        },
        versions=_versions(recipe.backend),
    )


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
