"""What the front end is tested against: librosa, and the definitions of its kinds written out in NumPy and SciPy."""

from __future__ import annotations

import itertools
from typing import Any

import librosa
import numpy as np
import numpy.typing as npt
import scipy.fft
import scipy.ndimage
import scipy.signal
from librosa.filters import mel as mel_weights
from signals import FloatArray, noise, sine, voice

from deepfake_audio.features import KINDS, VECTORS, FeatureSpec

Array = npt.NDArray[Any]

# Kinds of shape (channels, n_frames).
FRAMED = tuple(kind for kind in KINDS if kind not in VECTORS)

# One window of every character: speech, speech with silence around it, noise, a click, silence, a tone.
WINDOWS: FloatArray = np.stack(
    [
        voice(1.0),
        np.concatenate([np.zeros(4_000), voice(0.5, seed=1), np.zeros(4_000)]),
        noise(1.0),
        np.eye(1, 16_000, 5_000)[0],
        np.zeros(16_000),
        sine(1_000, 1.0),
    ]
).astype(np.float32)

# Unusual but legal: odd lengths, a window as long as the FFT, hops that do not divide, band limits, other rates.
SHAPES: dict[str, dict[str, Any]] = {
    "default": {},
    "long": {"n_fft": 1_024, "window_length": 1_024, "hop_length": 256, "n_bands": 80, "n_coefficients": 30},
    "odd-window": {"n_fft": 512, "window_length": 321, "hop_length": 77, "n_bands": 40, "n_coefficients": 40},
    "band": {"n_fft": 1_024, "f_min": 300.0, "f_max": 3_400.0, "n_bands": 30, "n_coefficients": 13},
    "8-khz": {"sample_rate": 8_000, "f_max": 4_000.0, "n_fft": 256, "window_length": 200, "hop_length": 80}
    | {"n_bands": 24, "n_coefficients": 1},
    "coarse": {"n_fft": 2_000, "window_length": 1_999, "hop_length": 5_000, "n_bands": 5, "n_coefficients": 2},
}


def make_spec(kind: Any, **changes: Any) -> FeatureSpec:
    """Return a spec of a kind; `cepstrum` looks at two coefficients per band."""
    values = {"n_bands": 64, **changes}
    if kind == "cepstrum":
        values["n_coefficients"] = 2 * values["n_bands"]
    return FeatureSpec(kind, **values)


def assert_close(features: Array, expected: Array, tolerance: float = 1e-4) -> None:
    """Compare relative to the largest value, or absolutely where that is below 1 (decibels, cosines, correlations)."""
    assert features.shape == expected.shape
    np.testing.assert_allclose(features, expected, rtol=0, atol=tolerance * max(1.0, np.abs(expected).max()))


def reference(signal: FloatArray, spec: FeatureSpec) -> Array:
    """Return what one window's features are by librosa, or by their definition."""
    references = {
        "mfcc": _mfcc,
        "mel": _mel,
        "linear": _linear,
        "fine": _fine,
        "lfcc": _lfcc,
        "cepstrum": _cepstrum,
        "flatness": _flatness,
        "phase": _phase,
        "modulation": _modulation,
        "correlation": _correlation,
    }
    return np.asarray(references[spec.kind](signal, spec))


def frames_db(power: Array) -> Array:
    """Return decibels with librosa's floor and range."""
    return np.asarray(librosa.power_to_db(power, ref=1.0, amin=1e-10, top_db=80.0))


def dct_matrix(n_coefficients: int, n_bands: int) -> Array:
    """Return the orthonormal DCT-II by its formula, shape (n_coefficients, n_bands)."""
    k, n = np.arange(n_coefficients)[:, np.newaxis], np.arange(n_bands)
    matrix = np.sqrt(2 / n_bands) * np.cos(np.pi * k * (2 * n + 1) / (2 * n_bands))
    matrix[0] /= np.sqrt(2)
    return np.asarray(matrix)


def stft(signal: FloatArray, spec: FeatureSpec) -> Array:
    """Return the spectrum frame by frame, phases relative to the window's middle, shape (n_bins, n_frames)."""
    half = spec.n_fft // 2
    padded = np.pad(signal.astype(np.float64), half)
    before = (spec.n_fft - spec.window_length) // 2
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(spec.window_length) / spec.window_length)
    window = np.pad(hann, (before, spec.n_fft - spec.window_length - before))
    frames = [padded[at : at + spec.n_fft] * window for at in range(0, len(signal) + 1, spec.hop_length)]
    middle = before + spec.window_length / 2
    return np.asarray((np.fft.rfft(frames) * np.exp(2j * np.pi * np.arange(half + 1) * middle / spec.n_fft)).T)


def _librosa_options(spec: FeatureSpec) -> tuple[dict[str, Any], dict[str, Any]]:
    frame = {"n_fft": spec.n_fft, "win_length": spec.window_length, "hop_length": spec.hop_length}
    return frame, {"n_mels": spec.n_bands, "fmin": spec.f_min, "fmax": spec.f_max}


def _mfcc(signal: FloatArray, spec: FeatureSpec) -> Any:
    frame, mel = _librosa_options(spec)
    return librosa.feature.mfcc(y=signal, sr=spec.sample_rate, n_mfcc=spec.n_coefficients, **frame, **mel)


def _mel(signal: FloatArray, spec: FeatureSpec) -> Array:
    frame, mel = _librosa_options(spec)
    return frames_db(librosa.feature.melspectrogram(y=signal, sr=spec.sample_rate, **frame, **mel))


def _linear(signal: FloatArray, spec: FeatureSpec) -> Array:
    power = np.abs(librosa.stft(signal.astype(np.float64), **_librosa_options(spec)[0])) ** 2
    hz = np.linspace(0, spec.sample_rate / 2, 1 + spec.n_fft // 2)
    return frames_db(power[(spec.f_min <= hz) & (hz <= spec.f_max)])


def _fine(signal: FloatArray, spec: FeatureSpec) -> Array:
    """Return the linear spectrogram less its running mean over 320 Hz, an odd number of bins."""
    db = _linear(signal, spec)
    half = max(1, round(160 * spec.n_fft / spec.sample_rate))
    return np.asarray(db - scipy.ndimage.uniform_filter1d(db, 2 * half + 1, axis=0, mode="nearest"))


def _triangles(spec: FeatureSpec) -> Array:
    """Return triangles of equal width in Hz, shape (n_bands, n_bins)."""
    hz = np.linspace(0, spec.sample_rate / 2, 1 + spec.n_fft // 2)
    edges = np.linspace(spec.f_min, spec.f_max, spec.n_bands + 2)
    return np.stack([np.interp(hz, edges[i : i + 3], [0, 1, 0]) for i in range(spec.n_bands)])


def _linear_bands(signal: FloatArray, spec: FeatureSpec) -> Array:
    return frames_db(_triangles(spec) @ np.abs(stft(signal, spec)) ** 2)


def _lfcc(signal: FloatArray, spec: FeatureSpec) -> Array:
    return np.asarray(dct_matrix(spec.n_coefficients, spec.n_bands) @ _linear_bands(signal, spec))


def _cepstrum(signal: FloatArray, spec: FeatureSpec) -> Array:
    """Return the energy of groups of coefficients."""
    db = frames_db(np.abs(stft(signal, spec)) ** 2)
    matrix = dct_matrix(spec.n_coefficients, len(db))
    groups = np.split((matrix @ db) ** 2, spec.n_bands)
    return np.asarray(10 * np.log10(np.maximum([group.mean(axis=0) for group in groups], 1e-3)))


def _flatness(signal: FloatArray, spec: FeatureSpec) -> Array:
    power = np.abs(stft(signal, spec)) ** 2
    limits = {"fmin": spec.f_min, "fmax": spec.f_max}
    weights = mel_weights(sr=spec.sample_rate, n_fft=spec.n_fft, n_mels=spec.n_bands, norm=None, **limits)
    weights = weights / weights.sum(axis=1, keepdims=True)
    return np.asarray(frames_db(weights @ power) - weights @ frames_db(power))


def _phase(signal: FloatArray, spec: FeatureSpec) -> Array:
    spectrum = stft(signal, spec)
    unit = spectrum / (np.abs(spectrum) + 1e-6)
    in_time = unit[:, 1:] * unit[:, :-1].conj()
    in_frequency = unit[1:] * unit[:-1].conj()
    mixed = in_time[1:] * in_time[:-1].conj() * np.exp(-2j * np.pi * spec.hop_length / spec.n_fft)
    measures = (
        in_time[:, 1:] * in_time[:, :-1].conj(),
        in_frequency,
        in_frequency[1:] * in_frequency[:-1].conj(),
        mixed,
    )
    bands = []
    for measure in measures:
        weights = _triangles(spec)[:, : len(measure)]
        sums = weights.sum(axis=1, keepdims=True)
        bands.append(weights @ measure.real[:, : spectrum.shape[1] - 2] / np.where(sums, sums, 1))
    return np.concatenate(bands)


def modulation_hz(spec: FeatureSpec) -> list[tuple[float, float]]:
    """Return the bands of modulation frequencies, in Hz."""
    rate = spec.sample_rate / spec.hop_length
    octaves = 0.5 * 2.0 ** np.arange(30)
    edges = [*octaves[octaves < rate / 8], *(rate * sixteenth / 16 for sixteenth in range(2, 9))]
    return list(itertools.pairwise(edges))


def _modulation(signal: FloatArray, spec: FeatureSpec) -> Array:
    db = _linear_bands(signal, spec)
    frames = db.shape[1]
    size = 2 ** int(np.ceil(np.log2(frames)))
    windowed = (db - db.mean(axis=1, keepdims=True)) * scipy.signal.windows.hann(frames, sym=True)
    power = np.abs(np.fft.rfft(windowed, size)) ** 2 / frames
    hz = np.fft.rfftfreq(size, spec.hop_length / spec.sample_rate)
    within = [(low <= hz) & (hz < high) for low, high in modulation_hz(spec)]
    means = np.stack([power[:, bins].mean(axis=1) for bins in within if bins.any()], axis=1)
    return np.asarray(10 * np.log10(np.maximum(means, 1e-6)).ravel())


def _correlation(signal: FloatArray, spec: FeatureSpec) -> Array:
    change = np.diff(_linear_bands(signal, spec))
    scaled = (change - change.mean(axis=1, keepdims=True)) / (change.std(axis=1, keepdims=True) + 1e-6)
    later, earlier = scaled[:, spec.lag :], scaled[:, : scaled.shape[1] - spec.lag]
    return np.array([[np.mean(one * other) for other in earlier] for one in later]).ravel()


def texture_power(frames: Array, height: int, length: int) -> Array:
    """Return the mean squares of the DCT of all patches of frames, shape (n_regions, height, length)."""
    centred = frames.astype(np.float64) - frames.mean(axis=1, keepdims=True, dtype=np.float64)
    patches = np.lib.stride_tricks.sliding_window_view(centred, (height, length))[:, :: max(1, length // 6)]
    squares = scipy.fft.dctn(patches, axes=(2, 3), norm="ortho") ** 2
    rows = len(squares) // 4
    return np.stack([squares[region * rows :][:rows].mean(axis=(0, 1)) for region in range(4)])
