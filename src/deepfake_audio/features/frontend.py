"""The front end: from windows of signal to features, as an ONNX graph."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from deepfake_audio.features.graph import (
    INPUT,
    OUTPUT,
    Graph,
    channels_first,
    cosines,
    decibels,
    logarithm,
    normalised,
    spectrum,
    squared,
    statistics,
    used_bins,
    with_deltas,
)
from deepfake_audio.features.spec import (
    FeatureSpec,
    feature_shape,
    modulation_bands,
    modulation_size,
    n_frames,
    n_spectra,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FloatArray = npt.NDArray[np.float32]

# How wide the running mean is that `fine` takes for the envelope.
_ENVELOPE_HZ = 320.0
_CEPSTRUM_FLOOR = 1e-3
_MODULATION_FLOOR = 1e-6
# Added to magnitudes and deviations that divide.
_TINY = 1e-6


def extract(windows: FloatArray, specs: FeatureSpec | Sequence[FeatureSpec], *, batch_size: int = 32) -> FloatArray:
    """
    Compute features by running the front end's graph.

    Args:
        windows: Signals, shape (n_windows, window_samples).
        specs: What to compute; the vectors of several are put end to end.
        batch_size: Windows per run; bounds the memory that intermediate spectra take.

    Returns:
        Shape (n_windows, *feature_shape(specs, window_samples)).

    Raises:
        DataError: If ``feature_shape`` does.
    """
    specs = (specs,) if isinstance(specs, FeatureSpec) else tuple(specs)
    session = _session(specs, windows.shape[1])
    batches = [
        session.run([OUTPUT], {INPUT: windows[at : at + batch_size]})[0] for at in range(0, len(windows), batch_size)
    ]
    if not batches:
        return np.empty((0, *feature_shape(specs, windows.shape[1])), dtype=np.float32)
    return np.concatenate(batches)


@functools.lru_cache(maxsize=8)
def _session(specs: tuple[FeatureSpec, ...], window_samples: int) -> Any:
    from deepfake_audio.runtime import open_session

    return open_session(frontend(specs, window_samples).SerializeToString())


def frontend(specs: FeatureSpec | Sequence[FeatureSpec], window_samples: int) -> Any:
    """
    Build the front end as an ONNX model.

    Its input ``signal`` has shape (n, window_samples), its output ``features`` (n, *feature_shape).

    Raises:
        DataError: If ``feature_shape`` does.
    """
    specs = (specs,) if isinstance(specs, FeatureSpec) else tuple(specs)
    shape = feature_shape(specs, window_samples)  # first, since it refuses what the rest could not build
    builder = _Builder(Graph(), window_samples)
    parts = [builder.features(spec) for spec in specs]
    last = parts[0] if len(parts) == 1 else builder.graph.add("Concat", *parts, axis=1)
    return builder.graph.model(last, window_samples, shape)


class _Builder:
    """Adds kinds of features to one graph; what several of them need is computed once."""

    def __init__(self, graph: Graph, window_samples: int) -> None:
        self.graph = graph
        self.window_samples = window_samples
        self._shared: dict[tuple[object, ...], Any] = {}

    def features(self, spec: FeatureSpec) -> str:
        """Add a kind of features and return the name of its tensor."""
        plain = dataclasses.replace(spec, deltas=0, statistics=())
        x = self._once(("frames", plain), lambda: _KINDS[spec.kind](self, plain))
        x = with_deltas(self.graph, x, spec.deltas)
        if not spec.statistics:
            return x
        frames = feature_shape(dataclasses.replace(spec, statistics=()), self.window_samples)
        return statistics(self.graph, x, spec.statistics, frames)

    def signal(self, spec: FeatureSpec) -> str:
        """Return the windows, at a level of 1 if the spec wants it."""
        if not spec.normalise_level:
            return INPUT
        name: str = self._once(("signal",), lambda: normalised(self.graph, INPUT))
        return name

    def spectrum(self, spec: FeatureSpec) -> tuple[str, str]:
        """Return real and imaginary part of the spectrum, shape (n, n_spectra, n_bins) each."""
        frames = n_spectra(spec, self.window_samples)
        parts: tuple[str, str] = self._once(
            ("spectrum", *_frame(spec)), lambda: spectrum(self.graph, self.signal(spec), spec, frames)
        )
        return parts

    def power(self, spec: FeatureSpec) -> str:
        """Return the power spectrum, shape (n, n_spectra, n_bins)."""
        name: str = self._once(("power", *_frame(spec)), lambda: squared(self.graph, *self.spectrum(spec)))
        return name

    def banded(self, spec: FeatureSpec, filters: npt.NDArray[np.float64]) -> str:
        """Return the decibels of sums over bands, shape (n, n_spectra, n_bands)."""
        return decibels(self.graph, self.weighted(self.power(spec), filters))

    def weighted(self, x: str, filters: npt.NDArray[np.float64]) -> str:
        """Sum up the last axis, with the rows of a matrix as weights."""
        return self.graph.add("MatMul", x, self.graph.constant(filters.T))

    def _once(self, key: tuple[object, ...], make: Callable[[], Any]) -> Any:
        if key not in self._shared:
            self._shared[key] = make()
        return self._shared[key]


def _frame(spec: FeatureSpec) -> tuple[object, ...]:
    """Return all that specs must have in common to share a spectrum."""
    first, last = used_bins(spec)[[0, -1]]
    return (spec.n_fft, spec.window_length, spec.hop_length, spec.normalise_level, first, last)


# --- kinds -----------------------------------------------------------------------------------------------------


def _mel(build: _Builder, spec: FeatureSpec) -> str:
    return channels_first(build.graph, build.banded(spec, mel_filters(spec)))


def _linear(build: _Builder, spec: FeatureSpec) -> str:
    return channels_first(build.graph, decibels(build.graph, build.power(spec)))


def _fine(build: _Builder, spec: FeatureSpec) -> str:
    graph = build.graph
    db = decibels(graph, build.power(spec))
    half = max(1, round(_ENVELOPE_HZ * spec.n_fft / spec.sample_rate / 2))
    padded = graph.add("Pad", db, graph.constant([0, 0, half, 0, 0, half], np.int64), mode="edge")
    envelope = graph.add("AveragePool", padded, kernel_shape=[2 * half + 1])
    return channels_first(graph, graph.add("Sub", db, envelope))


def _mfcc(build: _Builder, spec: FeatureSpec) -> str:
    return _cepstral(build, spec, mel_filters(spec))


def _lfcc(build: _Builder, spec: FeatureSpec) -> str:
    return _cepstral(build, spec, linear_filters(spec))


def _cepstral(build: _Builder, spec: FeatureSpec, filters: npt.NDArray[np.float64]) -> str:
    bands = channels_first(build.graph, build.banded(spec, filters))
    return build.graph.add("MatMul", build.graph.constant(cosines(spec.n_coefficients, spec.n_bands)), bands)


def _cepstrum(build: _Builder, spec: FeatureSpec) -> str:
    graph = build.graph
    db = decibels(graph, build.power(spec))
    coefficients = graph.add("MatMul", db, _all_cosines(graph, len(used_bins(spec)), spec.n_coefficients))
    energy = graph.add("Mul", coefficients, coefficients)
    each = spec.n_coefficients // spec.n_bands
    means = np.kron(np.eye(spec.n_bands), np.full(each, 1 / each))
    return channels_first(graph, logarithm(graph, build.weighted(energy, means), _CEPSTRUM_FLOOR))


def _all_cosines(graph: Graph, n_bins: int, n_coefficients: int) -> str:
    """Add `cosines` for many bins, transposed, which the graph computes: the numbers themselves would be megabytes."""
    places = graph.constant(2 * np.arange(n_bins)[:, np.newaxis] + 1, np.int64)
    turns = graph.add("Mul", places, graph.constant(np.arange(n_coefficients), np.int64))
    turns = graph.add("Mod", turns, graph.constant(4 * n_bins, np.int64))
    phase = graph.add("Mul", graph.add("Cast", turns, to=1), graph.constant(np.pi / (2 * n_bins)))
    scale = np.sqrt(np.where(np.arange(n_coefficients) == 0, 1, 2) / n_bins)
    return graph.add("Mul", graph.add("Cos", phase), graph.constant(scale))


def _flatness(build: _Builder, spec: FeatureSpec) -> str:
    graph = build.graph
    filters = _averaging(mel_filters(spec, norm=None))
    mean_db = build.weighted(decibels(graph, build.power(spec)), filters)
    return channels_first(graph, graph.add("Sub", build.banded(spec, filters), mean_db))


def _phase(build: _Builder, spec: FeatureSpec) -> str:
    graph = build.graph
    unit = _unit(graph, *build.spectrum(spec))
    in_time, in_frequency = _turn(graph, unit, axis=1), _turn(graph, unit, axis=2)
    both = _turn(graph, in_time, axis=2)
    measures = (_turn_real(graph, in_time, axis=1), in_frequency[0], _turn_real(graph, in_frequency, axis=2), *both)
    filters = linear_filters(spec)
    zero, frames, axis = (graph.constant([n], np.int64) for n in (0, n_frames(spec, build.window_samples), 1))
    bands = []
    for measure, missing_bins in zip(measures, (0, 1, 2, 1, 1), strict=True):
        weights = _averaging(filters[:, : filters.shape[1] - missing_bins])
        bands.append(graph.add("Slice", build.weighted(measure, weights), zero, frames, axis))
    # From bin to bin, the advance of the phase in a hop grows by this much.
    angle = 2 * np.pi * spec.hop_length / spec.n_fft
    real, imaginary = (
        graph.add("Mul", band, graph.constant(part))
        for band, part in zip(bands[3:], (np.cos(angle), np.sin(angle)), strict=True)
    )
    return channels_first(graph, graph.add("Concat", *bands[:3], graph.add("Add", real, imaginary), axis=2))


def _unit(graph: Graph, real: str, imaginary: str) -> tuple[str, str]:
    """Scale complex numbers to a magnitude of 1; those of nearly 0 stay nearly 0."""
    magnitude = graph.add("Add", graph.add("Sqrt", squared(graph, real, imaginary)), graph.constant(_TINY))
    return graph.add("Div", real, magnitude), graph.add("Div", imaginary, magnitude)


def _turn(graph: Graph, x: tuple[str, str], axis: int) -> tuple[str, str]:
    """Multiply each complex number by the conjugate of the one before it along an axis."""
    (later, earlier), (later_i, earlier_i) = (_shifted(graph, part, 1, axis) for part in x)
    real = graph.add("Add", graph.add("Mul", later, earlier), graph.add("Mul", later_i, earlier_i))
    imaginary = graph.add("Sub", graph.add("Mul", later_i, earlier), graph.add("Mul", later, earlier_i))
    return real, imaginary


def _turn_real(graph: Graph, x: tuple[str, str], axis: int) -> str:
    """Return the real part of ``_turn``: of what nobody reads, nothing is computed."""
    products = [graph.add("Mul", *_shifted(graph, part, 1, axis)) for part in x]
    return graph.add("Add", *products)


def _shifted(graph: Graph, x: str, lag: int, axis: int) -> tuple[str, str]:
    """Return all along an axis but the first ``lag``, and all but the last."""
    first, end, start, last, along = (
        graph.constant([n], np.int64) for n in (lag, np.iinfo(np.int64).max, 0, -lag, axis)
    )
    return graph.add("Slice", x, first, end, along), graph.add("Slice", x, start, last, along)


def _modulation(build: _Builder, spec: FeatureSpec) -> str:
    graph = build.graph
    frames, edges = n_frames(spec, build.window_samples), modulation_bands(spec, build.window_samples)
    bands = channels_first(graph, build.banded(spec, linear_filters(spec)))
    centred = graph.add("Sub", bands, graph.add("ReduceMean", bands, axes=[2], keepdims=1))
    waves = _modulation_waves(graph, frames, modulation_size(spec, build.window_samples), edges)
    power = squared(graph, *(graph.add("MatMul", centred, wave) for wave in waves))
    averages = np.zeros((len(edges), edges[-1][1] - edges[0][0]))
    for row, (first, last) in zip(averages, edges, strict=True):
        row[first - edges[0][0] : last - edges[0][0]] = 1 / (last - first) / frames
    return graph.add("Flatten", logarithm(graph, build.weighted(power, averages), _MODULATION_FLOOR), axis=1)


def _modulation_waves(graph: Graph, frames: int, size: int, edges: list[tuple[int, int]]) -> list[str]:
    """Add Hann-windowed cosines and sines over the frames, shape (frames, n_bins) each, which the graph computes."""
    from scipy.signal import get_window

    times = graph.constant(np.arange(frames)[:, np.newaxis], np.int64)
    numbers = graph.constant(np.arange(edges[0][0], edges[-1][1]), np.int64)
    turns = graph.add("Mod", graph.add("Mul", times, numbers), graph.constant(size, np.int64))
    phase = graph.add("Mul", graph.add("Cast", turns, to=1), graph.constant(2 * np.pi / size))
    window = graph.constant(get_window("hann", frames, fftbins=False)[:, np.newaxis])
    return [graph.add("Mul", graph.add(wave, phase), window) for wave in ("Cos", "Sin")]


def _correlation(build: _Builder, spec: FeatureSpec) -> str:
    graph = build.graph
    bands = channels_first(graph, build.banded(spec, linear_filters(spec)))
    change = graph.add("Sub", *_shifted(graph, bands, 1, axis=2))
    centred = graph.add("Sub", change, graph.add("ReduceMean", change, axes=[2], keepdims=1))
    square = graph.add("ReduceMean", graph.add("Mul", centred, centred), axes=[2], keepdims=1)
    deviation = graph.add("Add", graph.add("Sqrt", square), graph.constant(_TINY))
    scaled = graph.add("Div", centred, deviation)
    later, earlier = _shifted(graph, scaled, spec.lag, axis=2) if spec.lag else (scaled, scaled)
    products = graph.add("MatMul", later, graph.add("Transpose", earlier, perm=[0, 2, 1]))
    n_products = n_frames(spec, build.window_samples) - 1 - spec.lag
    return graph.add("Flatten", graph.add("Mul", products, graph.constant(1 / n_products)), axis=1)


_KINDS: dict[str, Callable[[_Builder, FeatureSpec], str]] = {
    "mel": _mel,
    "linear": _linear,
    "fine": _fine,
    "mfcc": _mfcc,
    "lfcc": _lfcc,
    "cepstrum": _cepstrum,
    "flatness": _flatness,
    "phase": _phase,
    "modulation": _modulation,
    "correlation": _correlation,
}


# --- filters ---------------------------------------------------------------------------------------------------


def mel_filters(spec: FeatureSpec, norm: Literal["slaney"] | None = "slaney") -> npt.NDArray[np.float64]:
    """Return librosa's mel filters, shape (n_bands, 1 + n_fft / 2)."""
    from librosa.filters import mel

    filters: npt.NDArray[np.float64] = mel(
        sr=spec.sample_rate,
        n_fft=spec.n_fft,
        n_mels=spec.n_bands,
        fmin=spec.f_min,
        fmax=spec.f_max,
        norm=norm,
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


def _averaging(filters: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Scale filters so that each averages; one that is too narrow to have a bin gives 0."""
    sums = filters.sum(axis=1, keepdims=True)
    return filters / np.where(sums > 0, sums, 1)
