"""An ONNX graph under construction, and the steps that several kinds of features share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from deepfake_audio.features.spec import TEXTURE_REGIONS, FeatureSpec, bins, texture_patch

if TYPE_CHECKING:
    from collections.abc import Sequence

OPSET = 17
IR_VERSION = 8
INPUT = "signal"
OUTPUT = "features"

_DELTA_WIDTH = 9
_TOP_DB = 80.0
_POWER_FLOOR = 1e-10
_TEXTURE_FLOOR = 1e-6


class Graph:
    """The nodes and constants of an ONNX graph under construction; tensors are known by their names."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def constant(self, values: npt.ArrayLike, dtype: type = np.float32) -> str:
        """Add a constant and return its name."""
        import onnx

        name = f"constant_{len(self._constants)}"
        self._constants.append(onnx.numpy_helper.from_array(np.asarray(values, dtype=dtype), name))
        return name

    def add(self, operator: str, *inputs: str, n_outputs: int = 1, **attributes: Any) -> str:
        """Add a node and return the name of its first output."""
        import onnx

        outputs = [f"{operator.lower()}_{len(self._nodes)}_{i}" for i in range(n_outputs)]
        self._nodes.append(onnx.helper.make_node(operator, list(inputs), outputs, **attributes))
        return outputs[0]

    def model(self, last: str, window_samples: int, shape: Sequence[int]) -> Any:
        """Return the model whose output is a tensor of this graph."""
        import onnx

        self._nodes.append(onnx.helper.make_node("Identity", [last], [OUTPUT]))
        kind = onnx.TensorProto.FLOAT
        graph = onnx.helper.make_graph(
            self._nodes,
            "frontend",
            [onnx.helper.make_tensor_value_info(INPUT, kind, ["n", window_samples])],
            [onnx.helper.make_tensor_value_info(OUTPUT, kind, ["n", *shape])],
            self._constants,
        )
        opsets = [onnx.helper.make_opsetid("", OPSET)]
        return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)


def normalised(graph: Graph, x: str) -> str:
    """Scale by the peak first, so that no square over- or underflows, then to zero mean and unit root mean square."""
    peak = graph.add("ReduceMax", graph.add("Abs", x), axes=[1], keepdims=1)
    x = graph.add("Div", x, graph.add("Max", peak, graph.constant(1e-30)))
    for _ in range(2):  # beside a large offset, the first mean is exact to a few digits of the signal only
        x = graph.add("Sub", x, graph.add("ReduceMean", x, axes=[1], keepdims=1))
    mean_square = graph.add("ReduceMean", graph.add("Mul", x, x), axes=[1], keepdims=1)
    return graph.add("Div", x, graph.add("Sqrt", graph.add("Max", mean_square, graph.constant(1e-12))))


def spectrum(graph: Graph, x: str, spec: FeatureSpec, frames: int) -> tuple[str, str]:
    """
    Add the short-time Fourier transform, real and imaginary parts of shape (n, n_frames, n_bins), as matrix products.

    A Hann window of length L is symmetric about its sample L/2, so cosines are needed only for the sums of the samples
    at equal distance from it, and sines only for the differences: half the multiplications of a convolution with the
    windowed waves. The first sample under the window counts nothing. Phases are relative to the window's middle. Not
    ONNX's ``STFT``, for which onnxruntime-web has no kernel.
    """
    length, half = spec.window_length, spec.window_length // 2
    before = spec.n_fft // 2 - (spec.n_fft - length) // 2
    x = graph.add("Pad", x, graph.constant([0, before, 0, length - before], np.int64))
    starts = graph.constant(spec.hop_length * np.arange(frames)[:, np.newaxis], np.int64)
    distances = np.arange(1, half + 1)
    left = graph.add("Gather", x, graph.add("Add", starts, graph.constant(distances, np.int64)), axis=1)
    right = graph.add("Gather", x, graph.add("Add", starts, graph.constant(length - distances, np.int64)), axis=1)
    cosines, sines = _waves(graph, spec, distances)
    real = graph.add("MatMul", graph.add("Add", left, right), cosines)
    return real, graph.add("MatMul", graph.add("Sub", left, right), sines)


def _waves(graph: Graph, spec: FeatureSpec, distances: npt.NDArray[np.int64]) -> tuple[str, str]:
    """
    Add the windowed cosines and sines about the window's middle, shape (len(distances), n_bins) each.

    The graph computes them, once, when a session folds its constants: a file with the numbers themselves would be
    larger by up to a megabyte. Whole turns are taken off in integers, so that float32 holds the phase exactly enough.
    """
    from scipy.signal import get_window

    window = get_window("hann", spec.window_length, fftbins=True)[distances]
    window[2 * distances == spec.window_length] /= 2  # the middle is left and right at once
    # In half turns over n_fft, since the middle of a window of odd length lies between two samples.
    numbers = graph.constant(used_bins(spec), np.int64)
    places = graph.constant((spec.window_length - 2 * distances)[:, np.newaxis], np.int64)
    turns = graph.add("Mod", graph.add("Mul", places, numbers), graph.constant(2 * spec.n_fft, np.int64))
    phase = graph.add("Mul", graph.add("Cast", turns, to=1), graph.constant(np.pi / spec.n_fft))
    weights = graph.constant(window[:, np.newaxis])
    return graph.add("Mul", graph.add("Cos", phase), weights), graph.add("Mul", graph.add("Sin", phase), weights)


def used_bins(spec: FeatureSpec) -> npt.NDArray[np.int64]:
    """Return the FFT bins that are computed: all, for bands; those within the limits where bins are the channels."""
    return bins(spec) if spec.kind in ("linear", "fine") else np.arange(1 + spec.n_fft // 2)


def squared(graph: Graph, real: str, imaginary: str) -> str:
    """Add the power of a spectrum."""
    return graph.add("Add", graph.add("Mul", real, real), graph.add("Mul", imaginary, imaginary))


def decibels(graph: Graph, power: str) -> str:
    """Add the logarithm of a power of shape (n, a, b), cut 80 dB below its maximum."""
    db = logarithm(graph, power, _POWER_FLOOR)
    loudest = graph.add("ReduceMax", db, axes=[1, 2], keepdims=1)
    return graph.add("Max", db, graph.add("Sub", loudest, graph.constant(_TOP_DB)))


def logarithm(graph: Graph, power: str, floor: float) -> str:
    """Add ``10 log10(max(power, floor))``."""
    floored = graph.add("Max", power, graph.constant(floor))
    return graph.add("Mul", graph.add("Log", floored), graph.constant(10 / np.log(10)))


def channels_first(graph: Graph, x: str) -> str:
    """Put time last: from (n, n_frames, channels) to (n, channels, n_frames)."""
    return graph.add("Transpose", x, perm=[0, 2, 1])


def cosines(n_coefficients: int, n_bands: int) -> npt.NDArray[np.float64]:
    """Return the matrix of the orthonormal DCT-II, shape (n_coefficients, n_bands)."""
    from scipy.fft import dct

    matrix: npt.NDArray[np.float64] = dct(np.eye(n_bands), type=2, norm="ortho", axis=0)[:n_coefficients]
    return matrix


def with_deltas(graph: Graph, x: str, order: int) -> str:
    """Stack the first, and with an order of 2 the second, differences below the channels."""
    from scipy.signal import savgol_coeffs

    half = _DELTA_WIDTH // 2
    orders = [x]
    for degree in range(1, order + 1):
        kernel = savgol_coeffs(_DELTA_WIDTH, degree, deriv=degree, use="dot")
        # Channels go into the place of the picture's height, so that one kernel serves all of them.
        image = graph.add("Unsqueeze", x, graph.constant([1], np.int64))
        padded = graph.add("Pad", image, graph.constant([0, 0, 0, half, 0, 0, 0, half], np.int64), mode="edge")
        filtered = graph.add("Conv", padded, graph.constant(kernel[np.newaxis, np.newaxis, np.newaxis, :]))
        orders.append(graph.add("Squeeze", filtered, graph.constant([1], np.int64)))
    return graph.add("Concat", *orders, axis=1) if order else x


def statistics(graph: Graph, x: str, names: Sequence[str], shape: Sequence[int]) -> str:
    """Sum up the frames, of a shape (channels, n_frames): from (n, *shape) to (n, size), all names end to end."""
    frames = shape[1]
    mean = graph.add("ReduceMean", x, axes=[2], keepdims=1)
    parts = {"mean": mean}
    if "std" in names:
        difference = graph.add("Sub", x, mean)
        square = graph.add("Mul", difference, difference)
        parts["std"] = graph.add("Sqrt", graph.add("ReduceMean", square, axes=[2], keepdims=1))
    if "crest" in names:
        # The level of the mean power above the mean level: decibels, whatever the channel's own.
        loudest = graph.add("ReduceMax", x, axes=[2], keepdims=1)
        power = graph.add("Exp", graph.add("Mul", graph.add("Sub", x, loudest), graph.constant(np.log(10) / 10)))
        level = logarithm(graph, graph.add("ReduceMean", power, axes=[2], keepdims=1), _POWER_FLOOR)
        parts["crest"] = graph.add("Sub", graph.add("Add", level, loudest), mean)
    percents = {"min": 0, "max": 100} | {name: int(name[1:]) for name in names if name[0] == "p"}
    if wanted := [name for name in names if name in percents]:
        k = graph.constant([frames], np.int64)
        ordered = graph.add("TopK", x, k, n_outputs=2, axis=2, largest=0, sorted=1)
        for name in wanted:
            parts[name] = _percentile(graph, ordered, percents[name], frames)
    for name in names:
        if patch := texture_patch(name):
            parts[name] = _texture(graph, graph.add("Sub", x, mean), patch, shape)
    return graph.add("Concat", *(graph.add("Flatten", parts[name], axis=1) for name in names), axis=1)


def _texture(graph: Graph, centred: str, patch: tuple[int, int], shape: Sequence[int]) -> str:
    """
    Add how strong ripples are, in decibels: from (n, channels, n_frames) to (n, n_regions * (A * B - 1)).

    A ripple is a coefficient (i, j) of the orthonormal DCT-II of a patch of A channels by B frames. Its square is
    averaged over a region: ``rows`` neighbouring places of the patch in channels, and every ``step``-th in frames. The
    region is slowest, from the bottom, then come i and j. (0, 0), the level of the patch, is left out.

    Over frames the DCT is a convolution. Over channels none is computed: where R are the products of a region's
    channels, summed over its places, the sum of a coefficient's squares is a quadratic form in R. That takes a quarter
    of the time, for which float32 rounds at a millionth of the strongest ripple.
    """
    (height, length), (channels, frames) = patch, shape
    step = max(1, length // 6)
    rows, places = (channels - height + 1) // TEXTURE_REGIONS, (frames - length) // step + 1
    width = rows + height - 1
    image = graph.add("Unsqueeze", centred, graph.constant([1], np.int64))
    waves = graph.constant(cosines(length, length)[:, np.newaxis, np.newaxis, :])
    ripples = graph.add("Conv", image, waves, strides=[1, step])  # (n, j, channels, places)
    first = rows * np.arange(TEXTURE_REGIONS)[:, np.newaxis]
    regions = graph.add("Gather", ripples, graph.constant(first + np.arange(width), np.int64), axis=2)
    products = graph.add("MatMul", regions, graph.add("Transpose", regions, perm=[0, 1, 2, 4, 3]))
    flat = graph.add("Reshape", products, graph.constant([0, length, TEXTURE_REGIONS, width * width], np.int64))
    sums = graph.add("MatMul", flat, _quadratic_forms(graph, height, rows))  # (n, j, region, i)
    order = np.arange(length * TEXTURE_REGIONS * height).reshape(length, TEXTURE_REGIONS, height).transpose(1, 2, 0)
    kept = graph.constant(order.reshape(TEXTURE_REGIONS, -1)[:, 1:].ravel(), np.int64)
    ordered = graph.add("Gather", graph.add("Flatten", sums, axis=1), kept, axis=1)
    return logarithm(graph, graph.add("Mul", ordered, graph.constant(1 / (rows * places))), _TEXTURE_FLOOR)


def _quadratic_forms(graph: Graph, height: int, rows: int) -> str:
    """
    Add what makes of channels' products the sum, over rows, of each coefficient's squares: (width * width, height).

    The graph computes it, once, when a session folds its constants: for wide regions the numbers would be megabytes.
    """
    width = rows + height - 1
    padded = graph.constant(np.pad(cosines(height, height), ((0, 0), (0, rows - 1))))
    # Negative places count from the end, which holds zeros, as all does that lies beyond the patch.
    channel = graph.constant(np.arange(width)[:, np.newaxis], np.int64)
    place = graph.add("Sub", channel, graph.constant(np.arange(rows), np.int64))
    moved = graph.add("Gather", padded, place, axis=1)  # (height, width, rows)
    forms = graph.add("MatMul", moved, graph.add("Transpose", moved, perm=[0, 2, 1]))
    last = graph.add("Transpose", forms, perm=[1, 2, 0])
    return graph.add("Reshape", last, graph.constant([width * width, height], np.int64))


def _percentile(graph: Graph, ordered: str, percent: int, frames: int) -> str:
    """Interpolate linearly between the two nearest ranks, as numpy.percentile does."""
    place = percent / 100 * (frames - 1)
    below = int(place)
    above = min(below + 1, frames - 1)
    low = graph.add("Gather", ordered, graph.constant([below], np.int64), axis=2)
    high = graph.add("Gather", ordered, graph.constant([above], np.int64), axis=2)
    step = graph.add("Mul", graph.add("Sub", high, low), graph.constant(place - below))
    return graph.add("Add", low, step)
