"""A convolutional network on spectrograms, in Keras, which ends in one sigmoid."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import tempfile
import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepfake_audio.augment import freq_mix_style, mask_spectrogram, mix_up
from deepfake_audio.backends import Trained, finished
from deepfake_audio.backends.architectures import ARCHITECTURES, POOLINGS
from deepfake_audio.errors import DataError, MissingExtraError, OutputError
from deepfake_audio.features import OPSET, FeatureSpec
from deepfake_audio.files import replacing, require_writable

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from deepfake_audio.backends import Examples, FloatArray, Run

PLAIN_SPEC = FeatureSpec("mel", n_fft=512, window_length=256, n_bands=64)
DEFAULT_SPECS = (PLAIN_SPEC,)
WINDOW_SECONDS = 2.0
COPIES = 1
REFIT = False  # the networks of the parts are there already, and their mean is kept
EXTRA = "cnn"

PLOT_SUFFIXES = (".png", ".svg", ".pdf")
LOSSES = ("cross-entropy", "focal", "one-class")
# Margins and scale of the one-class softmax, from its paper (arXiv 2010.13995).
_MARGINS, _SCALE = (0.9, 0.2), 20.0


@dataclass(frozen=True)
class Options:
    """
    Choices of this backend.

    Attributes:
        architecture: A key of ``architectures.ARCHITECTURES``.
        pooling: A key of ``architectures.POOLINGS``.
        epochs: How often to go through the data.
        batch_size: Windows per step.
        learning_rate: Its maximum; it rises over the first epoch and falls to nearly 0 as a cosine.
        weight_decay: Decoupled, of AdamW.
        dropout: Of the last layer; earlier ones have less.
        hidden: Neurons of a layer before the last one; 0 has no such layer.
        loss: ``cross-entropy``, ``focal`` (arXiv 1708.02002, its exponent being 2) or ``one-class`` (the softmax of
            arXiv 2010.13995, which draws genuine speech together and pushes the rest away).
        label_smoothing: Share of the target that the other class gets.
        averaging: Momentum of the running average of the weights that is kept in the end; 0 keeps the last ones.
        mask: Whether parts of the pictures are hidden (arXiv 1904.08779).
        mix_up: Parameter of the Beta distribution by which two windows are mixed (arXiv 1710.09412); 0 mixes none.
        mix_style: Share of the batches whose windows swap mean and deviation per band (arXiv 2206.12513).
    """

    architecture: str = "texture"
    pooling: str = "power"
    epochs: int = 12
    batch_size: int = 64
    learning_rate: float = 4e-3
    weight_decay: float = 1e-2
    dropout: float = 0.2
    hidden: int = 64
    loss: str = "cross-entropy"
    label_smoothing: float = 0.05
    averaging: float = 0.99
    mask: bool = False
    mix_up: float = 0.0
    mix_style: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        checks = {
            f"architecture must be one of {', '.join(ARCHITECTURES)}": self.architecture in ARCHITECTURES,
            f"pooling must be one of {', '.join(POOLINGS)}": self.pooling in POOLINGS,
            f"loss must be one of {', '.join(LOSSES)}": self.loss in LOSSES,
            "epochs and batch_size must be positive": min(self.epochs, self.batch_size) > 0,
            "hidden must be 0 to 4,096": 0 <= self.hidden <= 4_096,  # noqa: PLR2004
            "learning_rate must be positive": 0 < self.learning_rate < math.inf,
            "weight_decay and mix_up must not be negative": min(self.weight_decay, self.mix_up) >= 0,
            "dropout, label_smoothing, averaging and mix_style must be in [0, 1)": all(
                0 <= x < 1 for x in (self.dropout, self.label_smoothing, self.averaging, self.mix_style)
            ),
        }
        for rule, holds in checks.items():
            if not holds:
                raise DataError(f"cnn: {rule}, got {self}")


def train(examples: Examples, held_out: Examples | None, options: Options, run: Run) -> Trained:
    """
    Train for a number of epochs; what is held out is only watched.

    In each epoch every window is seen once, as one of its copies (each comes up in turn) under a fresh mask.
    """
    keras = _keras()
    keras.utils.clear_session()  # so that layers get the same names whatever was trained before
    keras.utils.set_random_seed(run.seed)
    network = _network(keras, examples.features.shape[2:], options)
    steps = math.ceil(len(examples.chosen) / options.batch_size)
    network.compile(
        optimizer=keras.optimizers.AdamW(
            keras.optimizers.schedules.CosineDecay(
                0.0, steps * options.epochs, warmup_target=options.learning_rate, warmup_steps=steps, alpha=0.01
            ),
            weight_decay=options.weight_decay,
            use_ema=options.averaging > 0,
            ema_momentum=options.averaging,
        ),
        loss=_loss(keras, options),
        weighted_metrics=[keras.metrics.AUC(name="auc", from_logits=True)],
    )
    history = network.fit(
        _batches(keras, examples, options, run.seed),
        validation_data=None if held_out is None else _batches(keras, held_out, None, run.seed),
        epochs=options.epochs,
        callbacks=_callbacks(keras, options, run),
        verbose=0,
    ).history

    def score(features: FloatArray) -> npt.NDArray[np.float64]:
        return np.asarray(network.predict(features, batch_size=64, verbose=0), dtype=np.float64)[:, 0]

    facts = {
        "n_parameters": int(network.count_params()),
        "history": {name: [round(float(value), 5) for value in values] for name, values in history.items()},
    }
    return Trained(_to_onnx(network), score, facts)


def _keras() -> Any:
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _quiet():
        import keras

        keras.ops.zeros(1)  # the first operation wakes TensorFlow up, which has much to say
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            tf.config.experimental.enable_op_determinism()
            tf.get_logger().setLevel("ERROR")  # one network after another is what we want, and no news to users
    return keras


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep notes of TensorFlow and tf2onnx on their own build and versions off the terminal."""
    with open(os.devnull, "w") as nowhere, warnings.catch_warnings():  # noqa: PTH123 - os.devnull is no Path
        warnings.simplefilter("ignore")
        kept = os.dup(2)
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def _network(keras: Any, shape: tuple[int, ...], options: Options) -> Any:
    """Build the network from (n_bands, n_frames) to one logit, positive = bona fide."""
    layers = keras.layers
    inputs = keras.Input(shape, name="features")
    x = layers.BatchNormalization(momentum=0.9)(layers.Reshape((*shape, 1))(inputs))
    pictures = ARCHITECTURES[options.architecture](keras, x, options.dropout)
    vectors = [POOLINGS[options.pooling](keras, picture) for picture in pictures]
    x = layers.Concatenate()(vectors) if len(vectors) > 1 else vectors[0]
    x = layers.Dropout(options.dropout)(x)
    if options.hidden:
        x = layers.Dense(options.hidden, use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
        x = layers.Dropout(options.dropout)(x)
    if options.loss == "one-class":
        # The cosine between what a window is like and what genuine speech is like.
        x = layers.UnitNormalization()(layers.Dense(64)(x))
        x = layers.Dense(1, use_bias=False, kernel_constraint=keras.constraints.UnitNorm(), name="logit")(x)
        return keras.Model(inputs, x)
    return keras.Model(inputs, layers.Dense(1, name="logit")(x))


def _loss(keras: Any, options: Options) -> Any:
    if options.loss == "focal":
        return keras.losses.BinaryFocalCrossentropy(from_logits=True, label_smoothing=options.label_smoothing)
    if options.loss == "cross-entropy":
        return keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=options.label_smoothing)

    def one_class(is_bonafide: Any, cosine: Any) -> Any:
        genuine, other = _MARGINS
        missing = keras.ops.where(is_bonafide > 0.5, genuine - cosine, cosine - other)  # noqa: PLR2004
        return keras.ops.mean(keras.ops.softplus(_SCALE * missing), axis=-1)

    return one_class


def _batches(keras: Any, examples: Examples, options: Options | None, seed: int) -> Any:
    """Return what to learn from, in batches; without options what to watch: in order, as it is."""
    batch_size = 64 if options is None else options.batch_size

    class Batches(keras.utils.PyDataset):  # type: ignore[misc]
        """The windows in a new order, copy and mask each epoch; the same for the same seed."""

        def __init__(self) -> None:
            super().__init__(workers=1, max_queue_size=8)
            self._epoch = 0
            self._shuffle()

        def _shuffle(self) -> None:
            n_copies, n_windows = len(examples.features), len(examples.chosen)
            self._order = np.arange(n_windows)
            self._copy = np.zeros(n_windows, dtype=np.int64)
            if options is not None:
                self._order = np.random.default_rng([seed, self._epoch]).permutation(n_windows)
                self._copy = (np.arange(n_windows) + self._epoch) % n_copies

        def __len__(self) -> int:
            return math.ceil(len(self._order) / batch_size)

        def __getitem__(self, index: int) -> tuple[Any, Any, Any]:
            rows = np.sort(self._order[index * batch_size : (index + 1) * batch_size])
            features = np.stack([examples.features[self._copy[row], examples.chosen[row]] for row in rows])
            targets, weights = examples.is_bonafide[rows].astype(np.float32), examples.weights[rows]
            if options is not None:
                rng = np.random.default_rng([seed, self._epoch, index])
                features, targets, weights = _changed(features, targets, weights, options, rng)
            return features.astype(np.float32), targets[:, np.newaxis], weights

        def on_epoch_end(self) -> None:
            self._epoch += 1
            self._shuffle()

    return Batches()


def _changed(
    features: FloatArray,
    targets: npt.NDArray[np.float32],
    weights: npt.NDArray[np.float64],
    options: Options,
    rng: np.random.Generator,
) -> tuple[FloatArray, npt.NDArray[np.float32], npt.NDArray[np.float64]]:
    """Mix and mask the pictures of a batch."""
    if rng.random() < options.mix_style:
        features = freq_mix_style(features, rng)
    if options.mask:
        features = np.stack([mask_spectrogram(picture, rng) for picture in features])
    if options.mix_up:
        other = rng.permutation(len(features))
        features, share = mix_up(features, features[other], rng, options.mix_up)
        targets = share * targets + (1 - share) * targets[other]
        weights = share * weights + (1 - share) * weights[other]
    return features, targets, weights


def _callbacks(keras: Any, options: Options, run: Run) -> list[Any]:
    def note(epoch: int, logs: dict[str, float]) -> None:
        words = f"loss {logs['loss']:.3f}"
        if "val_auc" in logs:
            words += f", held out {logs['val_loss']:.3f}, AUC {logs['val_auc']:.3f}"
        run.report(epoch + 1, options.epochs, words)

    callbacks = [keras.callbacks.LambdaCallback(on_epoch_end=note), keras.callbacks.TerminateOnNaN()]
    if run.log_dir is not None:
        callbacks.append(keras.callbacks.TensorBoard(str(run.log_dir)))
    return callbacks


def _to_onnx(network: Any) -> Any:
    import onnx

    with tempfile.TemporaryDirectory(prefix="deepfake-audio-") as directory:
        path = Path(directory) / "network.onnx"
        with _quiet():
            network.export(str(path), format="onnx", opset_version=OPSET, verbose=False)
        model = onnx.load(str(path))
    graph = model.graph
    logits = graph.output[0].name
    graph.initializer.append(onnx.numpy_helper.from_array(np.array([1], dtype=np.int64), "logit_axis"))
    graph.node.append(onnx.helper.make_node("Squeeze", [logits, "logit_axis"], ["flat_logits"]))
    return finished(model, "flat_logits")


def require_graphviz(path: Path) -> None:
    """
    Find out before any work whether `plot_network` could write a file.

    Raises:
        MissingExtraError: If pydot is not installed.
        OutputError: If Graphviz is not, the file cannot be written, or its suffix is none that Graphviz writes.
    """
    if find_spec("pydot") is None:
        raise MissingExtraError("viz", "drawing a network of Keras")
    if shutil.which("dot") is None:
        raise OutputError("drawing a network of Keras needs the program `dot`: apt install graphviz, or graphviz.org")
    if path.suffix.lower() not in PLOT_SUFFIXES:
        raise OutputError(f"{path}: a network is drawn to a file whose name ends in {', '.join(PLOT_SUFFIXES)}")
    require_writable(path)


def plot_network(path: Path, shape: tuple[int, ...], options: Options) -> None:
    """
    Draw a network as Keras sees it, each layer with its shapes.

    This is what ``keras.utils.plot_model`` does, but with curved lines: of its rectangular ones, Graphviz 2.43 (that of
    Debian 12) finds no way for the architecture ``texture``, and ends.

    Args:
        path: Where to, a file of a format in ``PLOT_SUFFIXES``; `require_graphviz` tells whether that can be done.
        shape: Of its features, (n_bands, n_frames).
        options: As for training.

    Raises:
        OutputError: If Graphviz fails.
    """
    keras = _keras()
    keras.utils.clear_session()
    network = _network(keras, shape, options)
    dot = keras.utils.model_to_dot(network, show_shapes=True, show_layer_activations=True, dpi=120)
    dot.set("splines", "spline")
    try:
        with contextlib.redirect_stdout(None):  # where pydot would say it, too
            content = dot.create(format=path.suffix.lower().lstrip("."))
    except (AssertionError, OSError) as error:  # pydot asserts that all went well
        raise OutputError(f"{path}: Graphviz could not draw the network ({str(error).splitlines()[0]})") from error
    with replacing(path) as stream:
        stream.write(content)
