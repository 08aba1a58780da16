"""
The networks of the backend `cnn`, in Keras: from a picture of shape (n_bands, n_frames, 1) to a vector per window.

Each is a function ``(keras, picture, dropout) -> pictures``; ``POOLINGS`` then sum each of these up over bands and
frames. Pure Keras, so that they train on any of its backends and tf2onnx can convert them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Callable


def plain(keras: Any, x: Any, dropout: float) -> list[Any]:
    """Four blocks of convolution, batch normalisation, ReLU and max pooling; the first halves the picture twice."""
    layers = keras.layers
    x = _normalised(keras, layers.Conv2D(24, 5, strides=2, padding="same", use_bias=False)(x))
    for number, channels in enumerate((48, 96, 128)):
        x = _normalised(keras, layers.Conv2D(channels, 3, padding="same", use_bias=False)(x))
        x = layers.MaxPooling2D(2)(x)
        x = layers.Dropout(dropout * number / 3)(x)
    return [x]


def residual(keras: Any, x: Any, dropout: float) -> list[Any]:
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
    return [x]


def light(keras: Any, x: Any, dropout: float) -> list[Any]:
    """Light CNN: of each pair of feature maps the larger value goes on (max feature map, arXiv 1511.02683)."""
    layers = keras.layers
    x = _larger_half(keras, layers.Conv2D(48, 5, strides=2, padding="same")(x))
    for number, channels in enumerate((32, 48, 64)):
        x = _larger_half(keras, layers.Conv2D(2 * x.shape[-1], 1)(x))
        x = layers.BatchNormalization(momentum=_MOMENTUM)(x)
        x = _larger_half(keras, layers.Conv2D(2 * channels, 3, padding="same")(x))
        x = layers.BatchNormalization(momentum=_MOMENTUM)(layers.MaxPooling2D(2)(x))
        x = layers.Dropout(dropout * number / 3)(x)
    return [x]


def separable(keras: Any, x: Any, dropout: float) -> list[Any]:
    """Depthwise and pointwise convolutions instead of full ones (arXiv 1704.04861)."""
    layers = keras.layers
    x = _normalised(keras, layers.Conv2D(24, 5, strides=2, padding="same", use_bias=False)(x))
    for number, channels in enumerate((64, 96, 128)):
        x = _normalised(keras, layers.DepthwiseConv2D(5, padding="same", use_bias=False)(x))
        x = _normalised(keras, layers.Conv2D(channels, 1, use_bias=False)(x))
        x = layers.MaxPooling2D(2)(x)
        x = layers.Dropout(dropout * number / 3)(x)
    return [x]


def texture(keras: Any, x: Any, dropout: float) -> list[Any]:
    """
    Three convolutions, each of which is summed up: what gives synthesis away is small, and needs no depth.

    The mean of each band is taken off first, so that neither a microphone's nor a codec's colour is seen. The first
    convolution begins as the ripples of the statistic `texture7x7`: a kernel machine finds these telling as they are.
    """
    layers = keras.layers
    x = x - keras.ops.mean(x, axis=2, keepdims=True)
    ripples = keras.initializers.Constant(_ripples(7))
    pictures = [layers.Conv2D(48, 7, strides=2, use_bias=False, kernel_initializer=ripples)(x)]
    for number, channels in enumerate((48, 64), start=1):
        x = layers.MaxPooling2D(2)(_normalised(keras, pictures[-1]))
        x = layers.Dropout(dropout * number / 3)(x)
        pictures.append(layers.Conv2D(channels, 3, padding="same", use_bias=False)(x))
    return pictures


def _ripples(size: int) -> npt.NDArray[np.float32]:
    """Return the two-dimensional cosines of the DCT-II but the constant one, shape (size, size, 1, size ** 2 - 1)."""
    from scipy.fft import dct

    cosines = dct(np.eye(size), type=2, norm="ortho", axis=0)
    pairs = np.einsum("ia,jb->abij", cosines, cosines).reshape(size, size, 1, size**2)
    return np.asarray(pairs[..., 1:], dtype=np.float32)


ARCHITECTURES: dict[str, Callable[[Any, Any, float], list[Any]]] = {
    "cnn": plain,
    "resnet": residual,
    "lcnn": light,
    "separable": separable,
    "texture": texture,
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


def power(keras: Any, x: Any) -> Any:
    """Return the logarithm of the mean square of each channel in four regions of the bands, normalised."""
    layers, ops = keras.layers, keras.ops
    n_rows, n_columns = max(1, x.shape[1] // _REGIONS), x.shape[2]
    x = layers.AveragePooling2D((n_rows, n_columns))(ops.square(x))
    x = ops.log(layers.Flatten()(x) + _LEAST_POWER)
    return layers.BatchNormalization(momentum=_MOMENTUM)(x)


POOLINGS: dict[str, Callable[[Any, Any], Any]] = {"average": average, "attentive": attentive, "power": power}

# What `power` keeps apart, since a vocoder's traces in low and in high bands are not alike.
_REGIONS = 4
_LEAST_POWER = 1e-4

# Small data: running means that follow faster than Keras's 0.99.
_MOMENTUM = 0.9


def _normalised(keras: Any, x: Any) -> Any:
    return keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=_MOMENTUM)(x))


def _larger_half(keras: Any, x: Any) -> Any:
    half = x.shape[-1] // 2
    return keras.layers.Maximum()([x[..., :half], x[..., half:]])
