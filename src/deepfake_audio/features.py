"""
The front end: from windows of signal to features, as an ONNX graph.

There is one definition, ``frontend``. Training runs that graph (``extract``), and the same graph becomes the first
part of the model file, so what a model was trained on and what it sees later cannot drift apart.

Conventions, all of them librosa's: frames are centred (``center=True``, zeros beyond the ends), the window is a
periodic Hann window padded to ``n_fft``, power spectra, mel filters with Slaney's scale and norm, decibels as
``10 log10(max(power, 1e-10))`` cut at 80 dB below the window's maximum, an orthonormal DCT-II, and deltas by a
Savitzky-Golay filter over nine frames with the edge frames repeated (``mode="nearest"``).

Kinds of features, each of shape (channels, n_frames):

- ``mel``     log mel spectrogram, ``n_bands`` channels
- ``linear``  log power spectrogram, one channel per FFT bin between ``f_min`` and ``f_max``
- ``mfcc``    DCT of ``mel``, ``n_coefficients`` channels
- ``lfcc``    DCT of a log spectrogram in ``n_bands`` triangular bands of equal width in Hz

Deltas are stacked below as further channels. With ``statistics`` the frames are summed up and the result is a
vector: all channels of the first statistic, then all of the second, and so on.
"""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from deepfake_audio.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

FloatArray = npt.NDArray[np.float32]
Kind = Literal["mfcc", "mel", "lfcc", "linear"]
KINDS: tuple[str, ...] = get_args(Kind)

OPSET = 17
IR_VERSION = 8
INPUT = "signal"
OUTPUT = "features"

_DELTA_WIDTH = 9
_TOP_DB = 80.0
_POWER_FLOOR = 1e-10


@dataclass(frozen=True)
class FeatureSpec:
    """
    Everything that defines a front end.

    Attributes:
        kind: What is computed, see the module.
        sample_rate: In Hz.
        n_fft: Length of the FFT in samples.
        window_length: Length of the Hann window in samples, at most ``n_fft``.
        hop_length: Step from frame to frame in samples.
        n_bands: Filters of ``mel``, ``mfcc`` and ``lfcc``.
        n_coefficients: Coefficients of ``mfcc`` and ``lfcc``.
        f_min: Lower edge in Hz.
        f_max: Upper edge in Hz, at most half the sample rate.
        deltas: 0, 1 (first) or 2 (first and second differences).
        statistics: Any of ``mean``, ``std``, ``min``, ``max`` and percentiles such as ``p25``; none keeps the frames.
        normalise_level: Remove the mean of each window and scale it to a root mean square of 1 first.
    """

    kind: Kind
    sample_rate: int = 16_000
    n_fft: int = 512
    window_length: int = 400
    hop_length: int = 160
    n_bands: int = 64
    n_coefficients: int = 20
    f_min: float = 0.0
    f_max: float = 8_000.0
    deltas: int = 0
    statistics: tuple[str, ...] = ()
    normalise_level: bool = True

    def __post_init__(self) -> None:
        """Refuse what cannot be computed."""
        checks = {
            f"kind must be one of {', '.join(KINDS)}": self.kind in KINDS,
            "window_length must be between 2 and n_fft": 2 <= self.window_length <= self.n_fft,  # noqa: PLR2004
            "sample_rate must be 4000 to 384000": 4_000 <= self.sample_rate <= 384_000,  # noqa: PLR2004
            "n_fft must be even": self.n_fft % 2 == 0,
            "hop_length must be positive": self.hop_length > 0,
            "n_bands must be positive": self.n_bands > 0,
            "n_coefficients must be between 1 and n_bands": (
                self.kind not in ("mfcc", "lfcc") or 1 <= self.n_coefficients <= self.n_bands
            ),
            "f_min < f_max <= sample_rate / 2 must hold": 0 <= self.f_min < self.f_max <= self.sample_rate / 2,
            "deltas must be 0, 1 or 2": self.deltas in (0, 1, 2),
            "statistics must be mean, std, min, max or p0 to p100": all(map(_is_statistic, self.statistics)),
        }
        for rule, holds in checks.items():
            if not holds:
                raise DataError(f"feature spec: {rule}, got {self}")
        if len(_bins(self)) == 0:
            raise DataError(f"feature spec: no FFT bin lies between f_min and f_max, got {self}")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> FeatureSpec:
        """
        Build from what ``to_dict`` gave.

        Raises:
            DataError: If a key is unknown or missing, or a value does not fit.

        """
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := set(values) - known:
            raise DataError(f"feature spec: unknown keys {sorted(unknown)}")
        try:
            return cls(**{**values, "statistics": tuple(values.get("statistics", ()))})
        except (TypeError, AttributeError) as error:  # a missing key, or a value of another type
            raise DataError(f"feature spec: {error}") from error

    def changed(self, text: str) -> FeatureSpec:
        """
        Return this spec changed by a short text: a kind, then ``key=value`` pairs, separated by commas.

        Raises:
            DataError: If a key is unknown or a value does not fit.

        Examples:
            >>> FeatureSpec("mfcc").changed("lfcc,n_bands=40,statistics=mean+std").statistics
            ('mean', 'std')
        """
        kind, *pairs = text.split(",")
        values: dict[str, Any] = {**self.to_dict(), "kind": kind.strip()}
        for pair in pairs:
            key, _, value = (part.strip() for part in pair.partition("="))
            if key not in values:
                raise DataError(f"features: unknown key {key!r}; keys: {', '.join(list(values)[1:])}")
            try:
                values[key] = _converted(values[key], value)
            except ValueError:
                raise DataError(f"features: {key}={value!r} is not a {type(values[key]).__name__}") from None
        return self.from_dict(values)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold."""
        return {**dataclasses.asdict(self), "statistics": list(self.statistics)}


def _converted(like: object, text: str) -> object:
    """Return a text as a value of the type that ``like`` has."""
    if isinstance(like, bool):
        if text not in ("true", "false"):
            raise ValueError(text)
        return text == "true"
    if isinstance(like, list):
        return [part for part in text.split("+") if part]
    return type(like)(text)  # type: ignore[call-arg]


def _is_statistic(name: str) -> bool:
    percent = name.removeprefix("p")
    return name in {"mean", "std", "min", "max"} or (
        name.startswith("p") and percent.isdecimal() and int(percent) <= 100  # noqa: PLR2004
    )


def n_frames(spec: FeatureSpec, window_samples: int) -> int:
    """Return how many frames a window of signal gives."""
    return 1 + window_samples // spec.hop_length


def feature_shape(spec: FeatureSpec, window_samples: int) -> tuple[int, ...]:
    """Return the shape of one window's features: (channels, n_frames), or (n_features,) with statistics."""
    channels = {
        "mel": spec.n_bands,
        "linear": len(_bins(spec)),
        "mfcc": spec.n_coefficients,
        "lfcc": spec.n_coefficients,
    }[spec.kind] * (1 + spec.deltas)
    if spec.statistics:
        return (channels * len(spec.statistics),)
    return (channels, n_frames(spec, window_samples))


def extract(windows: FloatArray, spec: FeatureSpec, *, batch_size: int = 32) -> FloatArray:
    """
    Compute features by running the front end's graph.

    Args:
        windows: Signals, shape (n_windows, window_samples).
        spec: What to compute.
        batch_size: Windows per run; bounds the memory that intermediate spectra take.

    Returns:
        Shape (n_windows, *feature_shape(spec, window_samples)).
    """
    session = _session(spec, windows.shape[1])
    batches = [
        session.run([OUTPUT], {INPUT: windows[at : at + batch_size]})[0] for at in range(0, len(windows), batch_size)
    ]
    if not batches:
        return np.empty((0, *feature_shape(spec, windows.shape[1])), dtype=np.float32)
    return np.concatenate(batches)


@functools.lru_cache(maxsize=8)
def _session(spec: FeatureSpec, window_samples: int) -> Any:
    from deepfake_audio.runtime import open_session

    return open_session(frontend(spec, window_samples).SerializeToString())


def frontend(spec: FeatureSpec, window_samples: int) -> Any:
    """
    Build the front end as an ONNX model.

    Its input ``signal`` has shape (n, window_samples), its output ``features`` (n, *feature_shape).
    """
    graph = _Graph()
    signal = _normalised(graph, INPUT) if spec.normalise_level else INPUT
    x = _power_spectrum(graph, signal, spec, n_frames(spec, window_samples))
    x = _decibels(graph, _bands(graph, x, spec))
    if spec.kind in ("mfcc", "lfcc"):
        x = graph.add("MatMul", graph.constant(_dct(spec.n_coefficients, spec.n_bands)), x)
    x = _with_deltas(graph, x, spec.deltas)
    if spec.statistics:
        x = _statistics(graph, x, spec.statistics, n_frames(spec, window_samples))
    return graph.model(x, window_samples, feature_shape(spec, window_samples))


class _Graph:
    """The nodes and constants of an ONNX graph under construction; tensors are known by their names."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def constant(self, values: npt.ArrayLike, dtype: type = np.float32) -> str:
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


def _normalised(graph: _Graph, x: str) -> str:
    """Scale by the peak first, so that no square over- or underflows, then to zero mean and unit root mean square."""
    peak = graph.add("ReduceMax", graph.add("Abs", x), axes=[1], keepdims=1)
    x = graph.add("Div", x, graph.add("Max", peak, graph.constant(1e-30)))
    for _ in range(2):  # beside a large offset, the first mean is exact to a few digits of the signal only
        x = graph.add("Sub", x, graph.add("ReduceMean", x, axes=[1], keepdims=1))
    mean_square = graph.add("ReduceMean", graph.add("Mul", x, x), axes=[1], keepdims=1)
    return graph.add("Div", x, graph.add("Sqrt", graph.add("Max", mean_square, graph.constant(1e-12))))


def _power_spectrum(graph: _Graph, x: str, spec: FeatureSpec, frames: int) -> str:
    """
    Add the squared short-time Fourier transform, shape (n, n_frames, n_bins), as matrix products.

    A Hann window of length L is symmetric about its sample L/2, so cosines are needed only for the sums of the samples
    at equal distance from it, and sines only for the differences: half the multiplications of a convolution with the
    windowed waves. The first sample under the window counts nothing. Not ONNX's ``STFT``, for which onnxruntime-web
    has no kernel.
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
    imaginary = graph.add("MatMul", graph.add("Sub", left, right), sines)
    return graph.add("Add", graph.add("Mul", real, real), graph.add("Mul", imaginary, imaginary))


def _waves(graph: _Graph, spec: FeatureSpec, distances: npt.NDArray[np.int64]) -> tuple[str, str]:
    """
    Add the windowed cosines and sines about the window's middle, shape (len(distances), n_bins) each.

    The graph computes them, once, when a session folds its constants: a file with the numbers themselves would be
    larger by up to a megabyte. Whole turns are taken off in integers, so that float32 holds the phase exactly enough.
    """
    from scipy.signal import get_window

    window = get_window("hann", spec.window_length, fftbins=True)[distances]
    window[2 * distances == spec.window_length] /= 2  # the middle is left and right at once
    # In half turns over n_fft, since the middle of a window of odd length lies between two samples.
    bins = graph.constant(_bins(spec), np.int64)
    places = graph.constant((spec.window_length - 2 * distances)[:, np.newaxis], np.int64)
    turns = graph.add("Mod", graph.add("Mul", places, bins), graph.constant(2 * spec.n_fft, np.int64))
    phase = graph.add("Mul", graph.add("Cast", turns, to=1), graph.constant(np.pi / spec.n_fft))
    weights = graph.constant(window[:, np.newaxis])
    return graph.add("Mul", graph.add("Cos", phase), weights), graph.add("Mul", graph.add("Sin", phase), weights)


def _bins(spec: FeatureSpec) -> npt.NDArray[np.int64]:
    """Return the FFT bins that are used: those within [f_min, f_max]."""
    hz = np.arange(1 + spec.n_fft // 2) * spec.sample_rate / spec.n_fft
    return np.flatnonzero((hz >= spec.f_min) & (hz <= spec.f_max))


def _bands(graph: _Graph, power: str, spec: FeatureSpec) -> str:
    """Sum up the bins to bands, and put time last: shape (n, n_bands, n_frames)."""
    if spec.kind != "linear":
        filters = _mel_filters(spec) if spec.kind in ("mel", "mfcc") else linear_filters(spec)
        power = graph.add("MatMul", power, graph.constant(filters[:, _bins(spec)].T))
    return graph.add("Transpose", power, perm=[0, 2, 1])


def _mel_filters(spec: FeatureSpec) -> npt.NDArray[np.float64]:
    from librosa.filters import mel

    filters: npt.NDArray[np.float64] = mel(
        sr=spec.sample_rate,
        n_fft=spec.n_fft,
        n_mels=spec.n_bands,
        fmin=spec.f_min,
        fmax=spec.f_max,
        dtype=np.float64,
    )
    return filters


def linear_filters(spec: FeatureSpec) -> npt.NDArray[np.float64]:
    """
    Return triangular filters of equal width in Hz, peak 1, shape (n_bands, 1 + n_fft / 2).

    Each begins at the centre of the one before and ends at the centre of the next (Sahidullah et al., Interspeech
    2015, section 2.2).
    """
    edges = np.linspace(spec.f_min, spec.f_max, spec.n_bands + 2)
    hz = np.arange(1 + spec.n_fft // 2) * spec.sample_rate / spec.n_fft
    rising = (hz - edges[:-2, np.newaxis]) / np.diff(edges)[:-1, np.newaxis]
    falling = (edges[2:, np.newaxis] - hz) / np.diff(edges)[1:, np.newaxis]
    return np.maximum(0.0, np.minimum(rising, falling))


def _decibels(graph: _Graph, power: str) -> str:
    floored = graph.add("Max", power, graph.constant(_POWER_FLOOR))
    db = graph.add("Mul", graph.add("Log", floored), graph.constant(10 / np.log(10)))
    loudest = graph.add("ReduceMax", db, axes=[1, 2], keepdims=1)
    return graph.add("Max", db, graph.add("Sub", loudest, graph.constant(_TOP_DB)))


def _dct(n_coefficients: int, n_bands: int) -> npt.NDArray[np.float64]:
    from scipy.fft import dct

    matrix: npt.NDArray[np.float64] = dct(np.eye(n_bands), type=2, norm="ortho", axis=0)[:n_coefficients]
    return matrix


def _with_deltas(graph: _Graph, x: str, order: int) -> str:
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


def _statistics(graph: _Graph, x: str, names: Sequence[str], frames: int) -> str:
    mean = graph.add("ReduceMean", x, axes=[2], keepdims=1)
    parts = {"mean": mean}
    if "std" in names:
        difference = graph.add("Sub", x, mean)
        square = graph.add("Mul", difference, difference)
        parts["std"] = graph.add("Sqrt", graph.add("ReduceMean", square, axes=[2], keepdims=1))
    percents = {"min": 0, "max": 100} | {name: int(name[1:]) for name in names if name[0] == "p"}
    if wanted := [name for name in names if name in percents]:
        k = graph.constant([frames], np.int64)
        ordered = graph.add("TopK", x, k, n_outputs=2, axis=2, largest=0, sorted=1)
        for name in wanted:
            parts[name] = _percentile(graph, ordered, percents[name], frames)
    vectors = [graph.add("Squeeze", parts[name], graph.constant([2], np.int64)) for name in names]
    return graph.add("Concat", *vectors, axis=1)


def _percentile(graph: _Graph, ordered: str, percent: int, frames: int) -> str:
    """Interpolate linearly between the two nearest ranks, as numpy.percentile does."""
    place = percent / 100 * (frames - 1)
    below = int(place)
    above = min(below + 1, frames - 1)
    low = graph.add("Gather", ordered, graph.constant([below], np.int64), axis=2)
    high = graph.add("Gather", ordered, graph.constant([above], np.int64), axis=2)
    step = graph.add("Mul", graph.add("Sub", high, low), graph.constant(place - below))
    return graph.add("Add", low, step)
