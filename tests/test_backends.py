"""The backends, walked as a family: each must train, repeat itself, and equal its own ONNX form."""

from __future__ import annotations

import dataclasses
import importlib.util
import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import pytest
import soundfile
from signals import RATE, noise, sine, voice

from deepfake_audio import backends
from deepfake_audio.backends import BACKENDS, Backend, Examples, Run, Trained, load_backend, require_extra
from deepfake_audio.backends.architectures import ARCHITECTURES, POOLINGS
from deepfake_audio.errors import DataError, MissingExtraError
from deepfake_audio.features import extract, feature_shape

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import onnx

# Features of a window, and of which kinds they are.
SHAPES: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {"svm": ((40,), (24, 10, 6)), "cnn": ((32, 51), ())}
# What makes training short.
QUICK: dict[str, dict[str, Any]] = {
    "svm": {},
    "cnn": {"architecture": "cnn", "pooling": "average", "epochs": 4, "batch_size": 16, "averaging": 0.0},
}


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


def name_of(backend: Backend) -> str:
    """Return the name of a backend."""
    return backend.__name__.rpartition(".")[2]


def examples(backend: Backend, n: int = 64, seed: int = 0) -> Examples:
    """
    Return features in two copies, in which bona fide windows have a trend along the first axis that spoof lacks.

    Between the windows of the examples lie others that are not numbers and must not be looked at.
    """
    shape, sizes = SHAPES[name_of(backend)]
    rng = np.random.default_rng(seed)
    is_bonafide = np.arange(n) % 2 == 0
    chosen = np.arange(1, 2 * n, 2)
    features = np.full((2, 2 * n, *shape), np.nan, dtype=np.float32)
    trend = np.linspace(-2, 2, shape[0], dtype=np.float32).reshape(-1, *([1] * (len(shape) - 1)))
    features[:, chosen] = (
        rng.standard_normal((2, n, *shape)) + np.where(is_bonafide, 1, 0).reshape(-1, *([1] * len(shape))) * trend
    )
    return Examples(features, chosen, is_bonafide, np.ones(n), sizes)


def unseen(backend: Backend, n: int, seed: int) -> np.ndarray[Any, Any]:
    """Return features of windows, bona fide and spoofed in turn."""
    new = examples(backend, n, seed)
    return np.asarray(new.features[0, new.chosen])


def trained(
    backend: Backend,
    learnt: Examples | None = None,
    *,
    seed: int = 0,
    log_dir: Path | None = None,
    report: Callable[[int, int, str], None] = lambda *_: None,
    **options: Any,
) -> Trained:
    """Train for a moment."""
    chosen = backend.Options(**{**QUICK[name_of(backend)], **options})
    return backend.train(learnt or examples(backend), examples(backend, 32, 1), chosen, Run(seed, log_dir, report))


def run(model: Any, features: np.ndarray[Any, Any], output: str = "score") -> np.ndarray[Any, Any]:
    """Run an ONNX model on one input."""
    session = onnxruntime.InferenceSession(model.SerializeToString())
    values: np.ndarray[Any, Any] = session.run([output], {session.get_inputs()[0].name: features})[0]
    return values


def outputs_of(result: Trained) -> list[str]:
    """Return the names of what the graph of a classifier gives."""
    return [value.name for value in result.onnx.graph.output]


def check(backend: Backend, result: Trained) -> None:
    """Scores are higher for bona fide features never seen before, and ONNX gives the same numbers for all outputs."""
    features = unseen(backend, 40, seed=2)
    native = result.score(features)
    assert native.shape == (40,)
    assert native[::2].mean() > native[1::2].mean()
    np.testing.assert_allclose(run(result.onnx, features), native, atol=1e-4)
    assert outputs_of(result) == ["score"] + ["familiarity"] * (result.familiarity is not None)
    if result.familiarity is not None:
        familiarity = result.familiarity(features)
        assert familiarity.shape == (40,)
        np.testing.assert_allclose(run(result.onnx, features, "familiarity"), familiarity, atol=1e-5)


def test_every_shape_is_known() -> None:
    """A new backend must be added to the shapes of this file."""
    assert SHAPES.keys() == QUICK.keys() == BACKENDS.keys()


# --- all backends ----------------------------------------------------------------------------------------------


def test_learns_and_equals_its_onnx_form(backend: Backend) -> None:
    """A backend learns from the chosen windows alone, and its graph is the model that it trained."""
    check(backend, trained(backend))


def test_learns_without_anything_held_out(backend: Backend) -> None:
    """A model of all data has nothing to watch."""
    options = backend.Options(**QUICK[name_of(backend)])
    check(backend, backend.train(examples(backend), None, options, Run()))


def test_onnx_takes_any_number_of_windows(backend: Backend) -> None:
    """One window or several give one score each, and a window's score does not depend on its neighbours."""
    result = trained(backend)
    features = unseen(backend, 8, seed=3)
    together = run(result.onnx, features)
    alone = [run(result.onnx, features[i : i + 1])[0] for i in range(8)]
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_same_seed_same_model(backend: Backend) -> None:
    """Training twice with one seed gives the same bytes."""
    first, second = (trained(backend, seed=5).onnx.SerializeToString(deterministic=True) for _ in range(2))
    assert first == second


def test_windows_of_no_weight_do_not_count(backend: Backend) -> None:
    """Of two kinds of windows that contradict each other, those that weigh more are believed."""
    plain = examples(backend)
    first = np.arange(64) < 32
    for believed in (first, ~first):
        labels = np.where(first, plain.is_bonafide, ~plain.is_bonafide)
        weights = np.where(believed, 1.999, 0.001)
        scores = trained(backend, dataclasses.replace(plain, is_bonafide=labels, weights=weights)).score(
            unseen(backend, 40, seed=2)
        )
        assert (scores[::2].mean() > scores[1::2].mean()) == believed[0]


def test_reports_progress_and_facts(backend: Backend) -> None:
    """The last report says that all steps are done, and the facts are plain values."""
    heard: list[tuple[int, int, str]] = []
    result = trained(backend, report=lambda step, steps, note: heard.append((step, steps, note)))
    assert heard
    assert heard[-1][0] == heard[-1][1]
    assert result.facts


def test_default_specs_give_what_the_backend_wants(backend: Backend) -> None:
    """One kind of thing, vectors or spectrograms; the plain front end is of the same kind."""
    specs = (*backend.DEFAULT_SPECS, backend.PLAIN_SPEC)
    assert len({spec.is_vector for spec in specs}) == 1
    window = round(backend.WINDOW_SECONDS * specs[0].sample_rate)
    assert len(feature_shape(backend.DEFAULT_SPECS, window)) == len(SHAPES[name_of(backend)][0])


def test_model_holds_no_path_of_this_machine(backend: Backend) -> None:
    """A converter must not leave directories or documentation strings behind."""
    model: onnx.ModelProto = trained(backend).onnx
    assert b"/tmp" not in model.SerializeToString()


def test_options_are_plain_values(backend: Backend) -> None:
    """Recipes write options as TOML, so each is a text, a number or a truth."""
    values = dataclasses.asdict(backend.Options())
    assert values
    assert {type(value) for value in values.values()} <= {str, int, float, bool}


def test_without_its_extra_a_backend_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without TensorFlow the error is the line that installs it; the SVM needs no extra."""
    monkeypatch.setattr(backends, "find_spec", lambda name: None if name == "tensorflow" else object())
    require_extra(load_backend("svm"))
    with pytest.raises(MissingExtraError, match=r"training with the backend cnn .*pip install 'deepfake-audio\[cnn\]'"):
        require_extra(load_backend("cnn"))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        pytest.param("svm", {"c": 0.0}, "c must be positive", id="c"),
        pytest.param("svm", {"c": float("nan")}, "c must be positive", id="c nan"),
        pytest.param("svm", {"loss": "cross-entropy"}, "loss must be one of squares", id="svm loss"),
        pytest.param("svm", {"kernel": "cubic"}, "kernel must be", id="kernel"),
        pytest.param("svm", {"gamma": -1.0}, "gamma must be positive", id="gamma"),
        pytest.param("svm", {"n_components": 0}, "n_components must be positive", id="components"),
        pytest.param("svm", {"n_landmarks": 1}, "n_landmarks must be", id="landmarks"),
        pytest.param("cnn", {"architecture": "vgg"}, "architecture must be one of cnn", id="architecture"),
        pytest.param("cnn", {"pooling": "max"}, "pooling must be one of average", id="pooling"),
        pytest.param("cnn", {"loss": "hinge"}, "loss must be one of cross-entropy", id="loss"),
        pytest.param("cnn", {"hidden": -1}, "hidden must be 0 to", id="hidden"),
        pytest.param("cnn", {"epochs": 0}, "epochs and batch_size must be positive", id="epochs"),
        pytest.param("cnn", {"learning_rate": float("inf")}, "learning_rate must be positive", id="rate"),
        pytest.param("cnn", {"mix_up": -0.1}, "must not be negative", id="mix-up"),
        pytest.param("cnn", {"dropout": 1.0}, r"must be in \[0, 1\)", id="dropout"),
    ],
)
def test_options_that_no_training_can_use(name: str, options: dict[str, Any], message: str) -> None:
    """Each is refused in one line that names the backend."""
    with pytest.raises(DataError, match=f"^{name}: .*{message}"):
        load_backend(name).Options(**options)


# --- each alone ------------------------------------------------------------------------------------------------


def test_svm_with_a_linear_kernel() -> None:
    """The other kernel learns and converts as well."""
    svm = load_backend("svm")
    result = trained(svm, kernel="linear")
    check(svm, result)
    assert result.familiarity is None


def test_svm_with_the_usual_loss() -> None:
    """The machine of the squared hinge learns and converts as well, to other scores."""
    svm = load_backend("svm")
    result = trained(svm, loss="hinge")
    check(svm, result)
    some = unseen(svm, 20, seed=2)
    assert np.abs(result.score(some) - trained(svm).score(some)).max() > 0.01


def familiarity_of(result: Trained, features: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the familiarity of features to a classifier that knows it, from 0 to 1."""
    assert result.familiarity is not None
    values = result.familiarity(features)
    assert ((values > 0) & (values <= 1)).all()
    return values


@pytest.mark.parametrize("scale", [3.0, 30.0, 3e6])
def test_svm_knows_what_is_unfamiliar(scale: float) -> None:
    """New windows of the kind that was learnt from are familiar, and those far from all of them are less so."""
    svm = load_backend("svm")
    result = trained(svm, examples(svm, 640))
    like, unlike = unseen(svm, 40, seed=2), scale * unseen(svm, 40, seed=2)[::-1]
    assert np.median(familiarity_of(result, unlike)) < np.percentile(familiarity_of(result, like), 5)
    np.testing.assert_allclose(
        run(result.onnx, unlike, "familiarity"), familiarity_of(result, unlike), rtol=1e-3, atol=1e-5
    )


def test_svm_is_familiar_with_sounds_like_those_it_learnt_from(voices: Path) -> None:
    """Tones, hiss and clicks have a lower familiarity than nearly all voices, heard before or not."""
    svm = load_backend("svm")
    specs = svm.DEFAULT_SPECS
    known = np.stack([soundfile.read(path, 2 * RATE, dtype="float32")[0] for path in sorted(voices.rglob("*.wav"))])
    features = extract(known, specs)
    sizes = tuple(feature_shape(spec, 2 * RATE)[0] for spec in specs)
    is_bonafide = np.arange(len(known)) % 2 == 0
    result = trained(svm, Examples(features[np.newaxis], np.arange(60), is_bonafide, np.ones(60), sizes))
    new = np.stack([voice(2.0, seed=seed, robotic=bool(seed % 2)) for seed in range(4000, 4020)])
    clicks = np.zeros(2 * RATE, dtype=np.float32)
    clicks[::4000] = 0.5
    other = np.stack([sine(200, 2.0), sine(1000, 2.0), sine(3000, 2.0) + sine(3100, 2.0), noise(2.0), clicks])
    least = min(np.percentile(familiarity_of(result, extract(some, specs)), 10) for some in (known, new))
    assert (familiarity_of(result, extract(other, specs)) < least).all()


def test_svm_learns_what_is_no_speech() -> None:
    """Windows given as no speech, and new ones like them, are unfamiliar; speech stays familiar; no score changes."""
    svm = load_backend("svm")
    plain = examples(svm, 640)
    sounds = np.asarray(1.0 - 1.5 * unseen(svm, 120, seed=5), dtype=np.float32)
    known = dataclasses.replace(plain, non_speech=sounds[:60])
    before, result = trained(svm, plain), trained(svm, known)
    assert result.familiarity is not None
    like, unlike = unseen(svm, 40, seed=2), sounds[60:]
    assert np.percentile(result.familiarity(like), 5) > np.percentile(result.familiarity(unlike), 95)
    assert result.familiarity(like).mean() == pytest.approx(1.0, abs=0.3)
    np.testing.assert_allclose(run(result.onnx, unlike, "familiarity"), result.familiarity(unlike), atol=1e-3)
    np.testing.assert_array_equal(result.score(like), before.score(like))


def test_svm_with_few_components_and_landmarks() -> None:
    """Both bound what the file holds."""
    svm = load_backend("svm")
    small = trained(svm, n_components=3, n_landmarks=20)
    check(svm, small)
    assert small.onnx.ByteSize() < trained(svm).onnx.ByteSize() / 2


def test_svm_takes_features_that_never_change() -> None:
    """A feature that is the same in all windows does no harm."""
    svm = load_backend("svm")
    plain = examples(svm)
    plain.features[:, :, :3] = 7.0
    result = trained(svm, plain)
    scores = result.score(unseen(svm, 40, seed=2))
    assert np.isfinite(scores).all()
    assert scores[::2].mean() > scores[1::2].mean()


def test_svm_takes_windows_that_are_nearly_all_the_same() -> None:
    """Where landmarks hardly differ, familiarity is still a number, and the same in ONNX."""
    svm = load_backend("svm")
    plain = examples(svm)
    plain.features[:, plain.chosen] = np.where(plain.is_bonafide, 1.0, -1.0)[:, np.newaxis]
    result, features = trained(svm, plain), unseen(svm, 40, seed=2)
    np.testing.assert_allclose(run(result.onnx, features, "familiarity"), familiarity_of(result, features), atol=1e-5)


def test_svm_without_sizes_takes_all_features_for_one_kind() -> None:
    """Examples that do not tell of kinds are of one."""
    svm = load_backend("svm")
    check(svm, trained(svm, dataclasses.replace(examples(svm), sizes=())))


def test_cnn_writes_tensorboard_logs(tmp_path: Path) -> None:
    """With a log directory there are event files afterwards."""
    require("cnn")
    trained(load_backend("cnn"), log_dir=tmp_path / "logs", epochs=1)
    assert list((tmp_path / "logs").rglob("events.out.tfevents.*"))


@pytest.mark.parametrize(
    ("architecture", "pooling"),
    [*zip(ARCHITECTURES, itertools.cycle(POOLINGS), strict=False), ("cnn", "power"), ("texture", "power")],
)
def test_cnn_architectures(architecture: str, pooling: str) -> None:
    """Every network, the poolings in turn, trains and equals its own ONNX form."""
    require("cnn")
    cnn = load_backend("cnn")
    result = trained(cnn, architecture=architecture, pooling=pooling, epochs=1)
    features = unseen(cnn, 8, seed=2)
    np.testing.assert_allclose(run(result.onnx, features), result.score(features), atol=1e-4)
    assert result.facts["n_parameters"] > 1000


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"loss": "focal"}, id="focal"),
        pytest.param({"loss": "one-class"}, id="one-class"),
        pytest.param({"label_smoothing": 0.1, "averaging": 0.5}, id="smooth"),
        pytest.param({"mix_up": 0.5, "mask": False}, id="mix-up"),
        pytest.param({"mix_style": 0.5}, id="mix-style"),
    ],
)
def test_cnn_ways_to_learn(options: dict[str, Any]) -> None:
    """Every loss and every mixture learns the easy task."""
    require("cnn")
    cnn = load_backend("cnn")
    check(cnn, trained(cnn, **options))


def test_cnn_keeps_its_history() -> None:
    """The facts have the figures of each epoch, of what is learnt and of what is only watched."""
    require("cnn")
    history = trained(load_backend("cnn"), epochs=2).facts["history"]
    assert {"loss", "auc", "val_loss", "val_auc"} <= history.keys()
    assert {len(values) for values in history.values()} == {2}


def test_cnn_only_watches_what_is_held_out() -> None:
    """What is held out changes the history, and not the model."""
    require("cnn")
    cnn = load_backend("cnn")
    learnt, options = examples(cnn), cnn.Options(**{**QUICK["cnn"], "epochs": 1})
    watched = examples(cnn, 32, 1)
    backwards = dataclasses.replace(watched, is_bonafide=~watched.is_bonafide)
    one, other = (cnn.train(learnt, held_out, options, Run()) for held_out in (watched, backwards))
    assert one.onnx.SerializeToString(deterministic=True) == other.onnx.SerializeToString(deterministic=True)
    assert one.facts["history"]["val_auc"] != other.facts["history"]["val_auc"]
