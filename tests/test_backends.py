"""The backends, walked as a family: each must train, repeat itself, and equal its own ONNX form."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import pytest

from deepfake_audio import backends
from deepfake_audio.backends import BACKENDS, Backend, Examples, Options, Trained, load_backend, require_extra
from deepfake_audio.errors import MissingExtraError
from deepfake_audio.features import feature_shape

if TYPE_CHECKING:
    import onnx

WINDOW = 8_000
SHAPES = {"svm": (40,), "cnn": (32, 51)}


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Backend:
    """Return one backend after the other; skip those whose extra is not installed."""
    loaded = load_backend(request.param)
    require(loaded.EXTRA)
    return loaded


def require(extra: str | None) -> None:
    """Skip a test whose extra is not installed, without importing it."""
    if extra == "cnn" and importlib.util.find_spec("tensorflow") is None:
        pytest.skip("needs the extra `cnn`")


def examples(shape: tuple[int, ...], n: int = 64, seed: int = 0) -> Examples:
    """Return features in two copies, in which bona fide windows have a trend along the first axis that spoof lacks."""
    rng = np.random.default_rng(seed)
    is_bonafide = np.arange(n) % 2 == 0
    features = rng.standard_normal((2, n, *shape)).astype(np.float32)
    trend = np.linspace(-2, 2, shape[0], dtype=np.float32).reshape(-1, *([1] * (len(shape) - 1)))
    features[:, is_bonafide] += trend
    return Examples(features, is_bonafide, np.ones(n))


def shape_for(backend: Backend) -> tuple[int, ...]:
    """Return small features of the kind that a backend wants."""
    return SHAPES["svm" if backend.DEFAULT_SPEC.statistics else "cnn"]


def trained(backend: Backend, seed: int = 0, **options: Any) -> Trained:
    """Train for a moment."""
    shape = shape_for(backend)
    return backend.train(examples(shape), examples(shape, 32, seed=1), Options(seed=seed, epochs=4, **options))


def run(model: Any, features: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Run an ONNX model on one input."""
    session = onnxruntime.InferenceSession(model.SerializeToString())
    scores: np.ndarray[Any, Any] = session.run(["score"], {session.get_inputs()[0].name: features})[0]
    return scores


def test_every_shape_is_known() -> None:
    """A new backend must be added to the shapes of this file."""
    assert SHAPES.keys() == BACKENDS.keys()


def test_learns_and_equals_its_onnx_form(backend: Backend) -> None:
    """Scores are higher for bona fide features never seen before, and ONNX gives the same numbers."""
    result = trained(backend)
    unseen = examples(shape_for(backend), 40, seed=2)
    native = result.score(unseen.features[0])
    assert native[unseen.is_bonafide].mean() > native[~unseen.is_bonafide].mean()
    assert native.shape == (40,)
    np.testing.assert_allclose(run(result.onnx, unseen.features[0]), native, atol=1e-4)


def test_onnx_takes_any_number_of_windows(backend: Backend) -> None:
    """One window or several give one score each, and a window's score does not depend on its neighbours."""
    result = trained(backend)
    features = examples(shape_for(backend), 8, seed=3).features[0]
    together = run(result.onnx, features)
    alone = [run(result.onnx, features[i : i + 1])[0] for i in range(8)]
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_same_seed_same_model(backend: Backend) -> None:
    """Training twice with one seed gives the same bytes."""
    first, second = (trained(backend, seed=5).onnx.SerializeToString(deterministic=True) for _ in range(2))
    assert first == second


def test_reports_progress_and_facts(backend: Backend) -> None:
    """The last report says that all steps are done, and the facts are plain values."""
    heard: list[tuple[int, int, str]] = []
    result = trained(backend, report=lambda step, steps, note: heard.append((step, steps, note)))
    assert heard
    assert heard[-1][0] == heard[-1][1]
    assert result.facts


def test_default_spec_gives_what_the_backend_wants(backend: Backend) -> None:
    """Vectors for a backend with statistics, spectrograms for the others."""
    spec = backend.DEFAULT_SPEC
    shape = feature_shape(spec, round(backend.WINDOW_SECONDS * spec.sample_rate))
    assert len(shape) == (1 if spec.statistics else 2)


def test_model_holds_no_path_of_this_machine(backend: Backend) -> None:
    """A converter must not leave directories or documentation strings behind."""
    model: onnx.ModelProto = trained(backend).onnx
    assert b"/tmp" not in model.SerializeToString()


def test_without_its_extra_a_backend_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without TensorFlow the error is the line that installs it; the SVM needs no extra."""
    monkeypatch.setattr(backends, "find_spec", lambda name: None if name == "tensorflow" else object())
    require_extra(load_backend("svm"))
    with pytest.raises(MissingExtraError, match=r"training with the backend cnn .*pip install 'deepfake-audio\[cnn\]'"):
        require_extra(load_backend("cnn"))


def test_cnn_writes_tensorboard_logs(tmp_path: Any) -> None:
    """With a log directory there are event files afterwards."""
    require("cnn")
    trained(load_backend("cnn"), log_dir=tmp_path / "logs")
    assert list((tmp_path / "logs").rglob("events.out.tfevents.*"))


def test_cnn_stops_early_and_keeps_the_best_epoch() -> None:
    """Where validation only gets worse, training ends before the last epoch and the record names the best one."""
    require("cnn")
    cnn = load_backend("cnn")
    shape = SHAPES["cnn"]
    training = examples(shape)
    backwards = Examples(training.features[:1], ~training.is_bonafide, training.weights)
    facts = cnn.train(training, backwards, Options(epochs=60)).facts
    assert facts["epochs"] < 60
    assert facts["best_epoch"] == 1 + int(np.argmin(facts["history"]["val_loss"]))
    assert {"loss", "accuracy", "auc", "val_loss", "val_accuracy", "val_auc"} <= facts["history"].keys()
