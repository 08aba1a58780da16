"""
The networks of the backend `cnn`, in Keras: from a picture of shape (n_bands, n_frames, 1) to a vector per window.

Each is a function ``(keras, picture, dropout) -> picture``; ``POOLINGS`` then sum it up over bands and frames. Pure
Keras, so that they train on any of its backends and tf2onnx can convert them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def plain(keras: Any, x: Any, dropout: float) -> Any:
    """Four blocks of convolution, batch normalisation, ReLU and max pooling; the first halves the picture twice."""
    layers = keras.layers
    x = _normalised(keras, layers.Conv2D(24, 5, strides=2, padding="same", use_bias=False)(x))
    for number, channels in enumerate((48, 96, 128)):
        x = _normalised(keras, layers.Conv2D(channels, 3, padding="same", use_bias=False)(x))
        x = layers.MaxPooling2D(2)(x)
        x = layers.Dropout(dropout * number / 3)(x)
    return x


def residual(keras: Any, x: Any, dropout: float) -> Any:
    """Residual blocks with squeeze-and-excitation (arXiv 1512.03385, 1709.01507)."""
    layers = keras.layers
    x = _normalised(keras, layers.Conv2D(24, 5, strides=2, padding="same", use_bias=False)(x))
    for number, channels in enumerate((32, 64, 96)):
        inner = _normalised(keras, layers.Conv2D(channels, 3, strides=2, padding="same", use_bias=False)(x))
        inner = layers.Conv2D(channels, 3, padding="same", use_bias=False)(inner)
        inner = layers.BatchNormalization(momentum=_MOMENTUM)(inner)
        squeezed = layers.GlobalAveragePooling2D(keepdims=True)(inner)
        squeezed = layers.Conv2D(channels // 8, 1, activation="relu")(squeezed)
        inner = layers.Multiply()([inner, layers.Conv2D(channels, 1, activation="sigmoid")(squeezed)])
        shortcut = layers.Conv2D(channels, 1, strides=2, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.Add()([inner, layers.BatchNormalization(momentum=_MOMENTUM)(shortcut)]))
        x = layers.Dropout(dropout * number / 3)(x)
    return x


def light(keras: Any, x: Any, dropout: float) -> Any:
    """Light CNN: of each pair of feature maps the larger value goes on (max feature map, arXiv 1511.02683)."""
    layers = keras.layers
    x = _larger_half(keras, layers.Conv2D(48, 5, strides=2, padding="same")(x))
    for number, channels in enumerate((32, 48, 64)):
        x = _larger_half(keras, layers.Conv2D(2 * x.shape[-1], 1)(x))
        x = layers.BatchNormalization(momentum=_MOMENTUM)(x)
        x = _larger_half(keras, layers.Conv2D(2 * channels, 3, padding="same")(x))
        x = layers.BatchNormalization(momentum=_MOMENTUM)(layers.MaxPooling2D(2)(x))
        x = layers.Dropout(dropout * number / 3)(x)
    return x


def separable(keras: Any, x: Any, dropout: float) -> Any:
    """Depthwise and pointwise convolutions instead of full ones (arXiv 1704.04861)."""
    layers = keras.layers
    x = _normalised(keras, layers.Conv2D(24, 5, strides=2, padding="same", use_bias=False)(x))
    for number, channels in enumerate((64, 96, 128)):
        x = _normalised(keras, layers.DepthwiseConv2D(5, padding="same", use_bias=False)(x))
        x = _normalised(keras, layers.Conv2D(channels, 1, use_bias=False)(x))
        x = layers.MaxPooling2D(2)(x)
        x = layers.Dropout(dropout * number / 3)(x)
    return x


ARCHITECTURES: dict[str, Callable[[Any, Any, float], Any]] = {
    "cnn": plain,
    "resnet": residual,
    "lcnn": light,
    "separable": separable,
}


def average(keras: Any, x: Any) -> Any:
    """Return the mean over bands and frames."""
    return keras.layers.GlobalAveragePooling2D()(x)


def attentive(keras: Any, x: Any) -> Any:
    """Return mean and deviation over frames, weighted by what the network finds telling (arXiv 1803.10963)."""
    layers, ops = keras.layers, keras.ops
    x = ops.mean(x, axis=1)
    weights = layers.Conv1D(x.shape[-1], 1)(layers.Conv1D(32, 1, activation="tanh")(x))
    weights = layers.Softmax(axis=1)(weights)
    mean = ops.sum(weights * x, axis=1)
    variance = ops.sum(weights * x * x, axis=1) - mean * mean
    return layers.Concatenate()([mean, ops.sqrt(ops.maximum(variance, 1e-5))])


POOLINGS: dict[str, Callable[[Any, Any], Any]] = {"average": average, "attentive": attentive}

# Small data: running means that follow faster than Keras's 0.99.
_MOMENTUM = 0.9


def _normalised(keras: Any, x: Any) -> Any:
    return keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=_MOMENTUM)(x))


def _larger_half(keras: Any, x: Any) -> Any:
    half = x.shape[-1] // 2
    return keras.layers.Maximum()([x[..., :half], x[..., half:]])
