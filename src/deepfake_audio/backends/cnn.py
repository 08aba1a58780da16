"""A convolutional network on mel spectrograms, in Keras: four blocks, global average pooling, one sigmoid."""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepfake_audio.augment import mask_spectrogram
from deepfake_audio.backends import Trained, finished
from deepfake_audio.features import OPSET, FeatureSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from deepfake_audio.backends import Examples, FloatArray, Options

DEFAULT_SPEC = FeatureSpec("mel", n_fft=1024, window_length=640, n_bands=80)
WINDOW_SECONDS = 2.0
COPIES = 8
EXTRA = "cnn"

BATCH_SIZE = 32
LEARNING_RATE = 2e-3
PATIENCE = 15
# Channels and dropout of each block.
_BLOCKS = ((16, 0.0), (32, 0.0), (64, 0.1), (128, 0.2))


def train(training: Examples, validation: Examples, options: Options) -> Trained:
    """
    Train with early stopping on the validation windows.

    In each epoch every window is seen once, as one of its copies (each comes up in turn) under a fresh mask. The
    weights of the epoch with the lowest validation loss are kept.
    """
    keras = _keras()
    keras.utils.clear_session()  # so that layers get the same names whatever was trained before
    keras.utils.set_random_seed(options.seed)
    n_bands, n_frames = training.features.shape[2:]
    network = _network(keras, n_bands, n_frames)
    steps = math.ceil(len(training.is_bonafide) / BATCH_SIZE)
    classifier = keras.Sequential([network, keras.layers.Activation("sigmoid")])
    classifier.compile(
        optimizer=keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(
                0.0, steps * options.epochs, warmup_target=LEARNING_RATE, warmup_steps=steps, alpha=0.01
            )
        ),
        loss=keras.losses.BinaryCrossentropy(),
        weighted_metrics=[keras.metrics.BinaryAccuracy(name="accuracy"), keras.metrics.AUC(name="auc")],
    )
    history = classifier.fit(
        _batches(keras, training, options.seed),
        validation_data=(validation.features[0], validation.is_bonafide, validation.weights),
        validation_batch_size=256,
        epochs=options.epochs,
        callbacks=_callbacks(keras, options),
        verbose=0,
    ).history

    def score(features: FloatArray) -> npt.NDArray[np.float64]:
        return np.asarray(network.predict(features, batch_size=64, verbose=0), dtype=np.float64)[:, 0]

    best = int(np.argmin(history["val_loss"]))
    facts = {
        "n_parameters": int(network.count_params()),
        "epochs": len(history["loss"]),
        "best_epoch": best + 1,
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


def _network(keras: Any, n_bands: int, n_frames: int) -> Any:
    """Build the network from (n_bands, n_frames) to one logit, positive = bona fide."""
    layers = keras.layers
    x = inputs = keras.Input((n_bands, n_frames), name="features")
    x = layers.Reshape((n_bands, n_frames, 1))(x)
    x = layers.BatchNormalization(momentum=0.9)(x)
    for channels, dropout in _BLOCKS:
        x = layers.Conv2D(channels, 3, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.ReLU()(x)
        x = layers.MaxPooling2D(2)(x)
        x = layers.Dropout(dropout)(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.3)(x)
    return keras.Model(inputs, layers.Dense(1, name="logit")(x))


def _batches(keras: Any, examples: Examples, seed: int) -> Any:
    class Batches(keras.utils.PyDataset):  # type: ignore[misc]
        """The training windows in a new order, copy and mask each epoch; the same for the same seed."""

        def __init__(self) -> None:
            super().__init__(workers=1, max_queue_size=8)
            self._epoch = 0
            self._shuffle()

        def _shuffle(self) -> None:
            rng = np.random.default_rng([seed, self._epoch])
            n_copies, n_windows = examples.features.shape[:2]
            self._order = rng.permutation(n_windows)
            self._copy = (np.arange(n_windows) + self._epoch) % n_copies

        def __len__(self) -> int:
            return math.ceil(len(self._order) / BATCH_SIZE)

        def __getitem__(self, index: int) -> tuple[Any, Any, Any]:
            rng = np.random.default_rng([seed, self._epoch, index])
            rows = np.sort(self._order[index * BATCH_SIZE : (index + 1) * BATCH_SIZE])
            features = [mask_spectrogram(examples.features[self._copy[row], row], rng) for row in rows]
            return np.stack(features).astype(np.float32), examples.is_bonafide[rows], examples.weights[rows]

        def on_epoch_end(self) -> None:
            self._epoch += 1
            self._shuffle()

    return Batches()


def _callbacks(keras: Any, options: Options) -> list[Any]:
    def note(epoch: int, logs: dict[str, float]) -> None:
        words = f"loss {logs['loss']:.3f}, validation loss {logs['val_loss']:.3f}, AUC {logs['val_auc']:.3f}"
        options.report(epoch + 1, options.epochs, words)

    callbacks = [
        keras.callbacks.EarlyStopping("val_loss", patience=PATIENCE, restore_best_weights=True),
        keras.callbacks.LambdaCallback(on_epoch_end=note),
        keras.callbacks.TerminateOnNaN(),
    ]
    if options.log_dir is not None:
        callbacks.append(keras.callbacks.TensorBoard(str(options.log_dir)))
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
