"""
Synthetic speech out of genuine speech, by vocoders that need no trained weights.

A recording is analysed and built anew from its parameters: the same words, speaker, room and channel, so that only the
traces of synthesis tell the two apart (copy-synthesis, arXiv 2210.10570). Every entry of ``METHODS`` is a function
``(signal, sample_rate, rng) -> signal`` that keeps length, level (RMS) and type, and that draws its settings from
``rng`` within the ranges that its docstring states. Peaks may grow: whoever writes integers has to look at them.
"""

from __future__ import annotations

import functools
import importlib.util
import warnings
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import soxr

from deepfake_audio.errors import MissingExtraError

FloatArray = npt.NDArray[np.float32]
Spectra = npt.NDArray[np.complex64]
Array = npt.NDArray[np.floating]
Method = Callable[[FloatArray, int, np.random.Generator], FloatArray]

METHODS: dict[str, Method] = {}

# Methods that need more than the core dependencies: the module, and the extra that brings it.
_EXTRAS = {"world": ("pyworld", "vocoders")}
# Added to magnitudes before a logarithm: 120 dB below full scale.
_FLOOR = 1e-6
# Shorter signals are filled up: the longest analysis window must find something to stand on.
_SHORTEST_SECONDS = 0.25


def available_methods() -> tuple[str, ...]:
    """Return the names of the methods whose dependencies are installed."""
    return tuple(name for name in METHODS if _is_available(name))


def require_method(name: str) -> None:
    """
    Find out whether a method can be used.

    Raises:
        MissingExtraError: If what it needs is not installed.
    """
    if not _is_available(name):
        raise MissingExtraError(_EXTRAS[name][1], f"the method {name}")


def _is_available(name: str) -> bool:
    return name not in _EXTRAS or importlib.util.find_spec(_EXTRAS[name][0]) is not None


def _method(name: str) -> Callable[[Method], Method]:
    """Enter a function in ``METHODS``, around it what all have in common: length, level, and silence, which stays."""

    def enter(function: Method) -> Method:
        @functools.wraps(function)
        def resynthesise(signal: FloatArray, sample_rate: int, rng: np.random.Generator) -> FloatArray:
            level = _rms(signal)
            if level == 0.0:
                return np.zeros(len(signal), dtype=np.float32)
            missing = max(0, round(_SHORTEST_SECONDS * sample_rate) - len(signal))
            # At one level, so that no floor and no threshold depends on how loud a recording is.
            out = function(np.pad(signal / np.float32(10 * level), (0, missing)), sample_rate, rng)[: len(signal)]
            return (out * (level / max(_rms(out), 1e-9))).astype(np.float32)

        METHODS[name] = resynthesise
        return resynthesise

    return enter


# --- vocoders --------------------------------------------------------------------------------------------------


@_method("griffin-lim")
def griffin_lim(signal: FloatArray, sample_rate: int, rng: np.random.Generator) -> FloatArray:
    """
    Go through a mel spectrogram, and guess the phases by fast Griffin-Lim (Perraudin et al. 2013).

    Imitates Tacotron-era systems, and what every mel vocoder has in common: harmonics smeared at high frequencies.
    60 to 128 bands, hops of 8 to 14 ms, windows of four hops, 8 to 60 iterations, momentum 0 or 0.99.
    """
    size, hop = _sizes(sample_rate, rng.uniform(0.008, 0.014))
    iterations = round(np.exp(rng.uniform(np.log(8), np.log(60))))
    momentum = np.float32(rng.choice([0.0, 0.99]))
    filters = _mel_filters(int(rng.integers(60, 129)), size, sample_rate)
    magnitudes = np.abs(_stft(signal, size, hop)) @ filters.T @ np.linalg.pinv(filters).T
    magnitudes = np.maximum(magnitudes, 0.0).astype(np.float32)
    guess = _at_phases(magnitudes, rng.uniform(-np.pi, np.pi, magnitudes.shape))
    before = np.zeros_like(guess)
    for _ in range(iterations):
        consistent = _stft(_istft(guess, size, hop, len(signal)), size, hop)
        guess = consistent + momentum * (consistent - before)
        guess *= magnitudes / (np.abs(guess) + np.float32(1e-9))
        before = consistent
    return _istft(guess, size, hop, len(signal))


@_method("world")
def world(signal: FloatArray, sample_rate: int, rng: np.random.Generator) -> FloatArray:
    """
    Analyse and synthesise by WORLD (Morise et al. 2016): pitch, spectral envelope, aperiodicity.

    Imitates statistical parametric synthesis and voice conversion, which ended in WORLD for years. Frames every 4 to 8
    ms, pitch by DIO or autocorrelation (Harvest takes ten times as long), refined by StoneMask, in half of the cases
    shifted by up to 10 %; envelope in half of the cases coded in 24 to 60 numbers.

    Raises:
        MissingExtraError: If pyworld is not installed.
    """
    require_method("world")
    with warnings.catch_warnings():  # it asks pkg_resources for its own version, which warns of its end
        warnings.simplefilter("ignore")
        import pyworld

    # WORLD's D4C looks at frequencies up to 7.9 kHz, whatever the rate is.
    rate = max(16_000, sample_rate)
    x = _resampled(signal, sample_rate, rate).astype(np.float64)
    period_ms = rng.uniform(4.0, 8.0)
    hz, times = pyworld.dio(x, rate, frame_period=period_ms)
    if rng.random() < 1 / 2:
        by_correlation = pitch_hz(signal, sample_rate)
        nearest = np.round(times * (_PITCH_RATE / _PITCH_HOP)).astype(int)
        hz = by_correlation[np.minimum(nearest, len(by_correlation) - 1)]
    hz = pyworld.stonemask(x, hz, times, rate)
    envelope = pyworld.cheaptrick(x, hz, times, rate)
    aperiodicity = pyworld.d4c(x, hz, times, rate)
    if rng.random() < 1 / 2:
        size = 2 * (envelope.shape[1] - 1)
        coded = pyworld.code_spectral_envelope(envelope, rate, int(rng.integers(24, 61)))
        envelope = pyworld.decode_spectral_envelope(coded, rate, size)
    if rng.random() < 1 / 2:
        hz = hz * rng.uniform(0.9, 1.1)
    out = pyworld.synthesize(hz, envelope, aperiodicity, rate, period_ms).astype(np.float32)
    return _fitted(_resampled(out, rate, sample_rate), len(signal))


@_method("lpc")
def lpc(signal: FloatArray, sample_rate: int, rng: np.random.Generator) -> FloatArray:
    """
    Predict each frame linearly, and excite the predictor by pulses and noise (Atal and Hanauer 1971).

    Imitates classic vocoders, LPCNet's source-filter split and formant synthesis. Order 12 to 24 at 16 kHz and below,
    more at higher rates, windows of 20 to 32 ms, noise 10 to 30 dB below the pulses.
    """
    size, hop = _sizes(sample_rate, rng.uniform(0.005, 0.008))
    order = round(int(rng.integers(12, 25)) * max(1.0, sample_rate / 16_000))
    hz, voiced = _pitch_per_sample(signal, sample_rate)
    noise = rng.standard_normal(len(signal))
    breath = 10 ** (-rng.uniform(10.0, 30.0) / 20)
    excitation = voiced * (_pulses(hz, sample_rate) + breath * noise) + (1 - voiced) * noise
    filters, error = _predictors(_stft(signal, size, hop), size, order)
    from scipy import fft

    gains = np.sqrt(error / np.square(_window(size)).sum())[:, np.newaxis]
    response = (gains / fft.rfft(filters, size, axis=1)).astype(np.complex64)
    return _istft(_stft(excitation.astype(np.float32), size, hop) * response, size, hop, len(signal))


@_method("harmonic")
def harmonic(signal: FloatArray, sample_rate: int, rng: np.random.Generator) -> FloatArray:
    """
    Sum sines at the multiples of the pitch, and noise of the right colour (Stylianou's harmonic plus noise model).

    Imitates sinusoidal vocoders, concatenative synthesis with smoothing, and DDSP. Windows of 32 to 48 ms, harmonics up
    to 3.5 to 8 kHz, noise 8 to 25 dB below them, their phases all zero or each at random.
    """
    size, hop = _sizes(sample_rate, rng.uniform(0.008, 0.012))
    highest_hz = min(rng.uniform(3_500.0, 8_000.0), 0.45 * sample_rate)
    spectra = _stft(signal, size, hop)
    hz, voiced = _pitch_per_sample(signal, sample_rate)
    offsets = rng.uniform(0.0, 1.0, 1_000) * rng.integers(0, 2)
    sines = _sines(spectra, size, hop, hz / sample_rate, highest_hz / sample_rate, offsets)
    # The colour of the noise: the envelope, its mean logarithm corrected to the mean power of a Gaussian process.
    envelope = np.exp(_smoothed(_log(spectra), size, round(0.002 * sample_rate)) + np.euler_gamma / 2)
    noise = _stft(rng.standard_normal(len(signal)).astype(np.float32), size, hop)
    noise *= envelope / np.sqrt(np.square(_window(size)).sum())
    below = np.arange(size // 2 + 1) * (sample_rate / size) < highest_hz
    by_frame = np.interp(_centres(len(spectra), size, hop), np.arange(len(signal)), voiced)
    quiet = 1 - (1 - 10 ** (-rng.uniform(8.0, 25.0) / 20)) * np.outer(by_frame, below)
    return np.asarray(voiced * sines + _istft((noise * quiet).astype(np.complex64), size, hop, len(signal)))


@_method("phase")
def phase(signal: FloatArray, sample_rate: int, rng: np.random.Generator) -> FloatArray:
    """
    Keep the magnitudes of the spectrogram and replace its phases: by chance, zero, minimum phase, or blurred.

    Imitates vocoders that predict a spectrum and invert it in one pass (iSTFTNet, Vocos, APNet). Windows of 16 to 64
    ms; blurred phases are right at 0 Hz and off by up to 0.5 to 1 half-turns from 1 to 4 kHz on, zero and minimum ones
    off by up to 0.05 to 0.3.
    """
    size, hop = _sizes(sample_rate, rng.uniform(0.004, 0.016))
    spectra = _stft(signal, size, hop)
    kind = rng.choice(["random", "zero", "minimum", "blurred"])
    turn = np.full(size // 2 + 1, np.pi)
    if kind in {"zero", "minimum"}:
        spectra = np.abs(spectra).astype(np.complex64) if kind == "zero" else _minimum_phase(_log(spectra), size)
        spectra[:, 1::2] *= -1  # time 0 in the middle of the window: at its start nothing would pass
        turn *= rng.uniform(0.05, 0.3)
    elif kind == "blurred":
        turn *= rng.uniform(0.5, 1.0) * np.clip(_bins_hz(size, sample_rate) / rng.uniform(1_000, 4_000), 0, 1)
    out = spectra * _at_phases(np.ones(1, np.float32), rng.uniform(-turn, turn, spectra.shape))
    return _istft(out, size, hop, len(signal))


@_method("excitation")
def excitation(signal: FloatArray, sample_rate: int, rng: np.random.Generator) -> FloatArray:
    """
    Send a distorted sine and noise through the smoothed spectral envelope.

    Imitates neural source-filter vocoders (NSF, HiFi-GAN and RefineGAN with sine input, the singing ones), whose fine
    structure comes from such a source. Windows of 20 to 40 ms, envelope of the first 1.2 to 2.5 ms of the cepstrum, 4
    to 8 sines, noise 15 to 30 dB below them, zero or minimum phase.
    """
    size, hop = _sizes(sample_rate, rng.uniform(0.005, 0.010))
    n_coefficients = round(rng.uniform(0.0012, 0.0025) * sample_rate)
    hz, voiced = _pitch_per_sample(signal, sample_rate)
    turns = np.cumsum(hz / sample_rate)
    sines = sum(np.sin(2 * np.pi * (k * turns + rng.random())) for k in range(1, int(rng.integers(5, 10))))
    noise = rng.standard_normal(len(signal))
    breath = 10 ** (-rng.uniform(15.0, 30.0) / 20)
    source = voiced * (np.tanh(rng.uniform(2.0, 6.0) * sines) + breath * noise) + (1 - voiced) * 0.3 * noise
    spectra = _stft(source.astype(np.float32), size, hop)
    change = _smoothed(_log(_stft(signal, size, hop)), size, n_coefficients)
    change = change - _smoothed(_log(spectra), size, n_coefficients)
    response = _minimum_phase(change, size) if rng.random() < 1 / 2 else np.exp(change)
    return _istft((spectra * response).astype(np.complex64), size, hop, len(signal))


@_method("upsample")
def upsample(signal: FloatArray, sample_rate: int, rng: np.random.Generator) -> FloatArray:
    """
    Mirror low frequencies into high ones, and let a pattern repeat with every frame.

    Imitates the transposed convolutions of GAN vocoders and neural codecs (arXiv 2010.14356): zeros between samples,
    smoothed by an imperfect filter, leave images around a quarter of the rate and other fractions; unequal overlap
    leaves tones at multiples of the frame rate. Factor 2, 4 or 8, images 15 to 40 dB below what they mirror, in place
    of up to half the amplitude of what was there, tones of hops of 120 to 512 samples 45 to 70 dB below the signal.
    """
    del sample_rate  # a network counts samples
    factor = int(rng.choice([2, 4, 8]))
    spectrum = np.fft.rfft(signal)
    low = np.fft.irfft(spectrum * (np.arange(len(spectrum)) * factor < len(spectrum)), len(signal))
    zeros_between = np.where(np.arange(len(signal)) % factor == 0, factor, 0)
    kernel = np.bartlett(2 * factor + 1) / factor * (1 + rng.uniform(0.1, 0.5) * rng.standard_normal(2 * factor + 1))
    images = np.convolve(low * (zeros_between - 1), kernel, mode="same")
    images *= _rms(low) / max(_rms(images), 1e-9) * 10 ** (-rng.uniform(15.0, 40.0) / 20)
    out = low + rng.uniform(0.5, 1.0) * (signal - low) + images
    pattern = np.resize(rng.standard_normal(int(rng.integers(120, 513))), len(signal))
    pattern *= 10 ** (-rng.uniform(45.0, 70.0) / 20)
    loudness = np.sqrt(np.convolve(np.square(out), np.full(512, 1 / 512), mode="same").clip(0))[: len(out)]
    return np.asarray(out + loudness * pattern)


# --- partial fakes ---------------------------------------------------------------------------------------------

_FADE_SECONDS = 0.01
_SEARCH_SECONDS = 0.1


def splice(
    genuine: FloatArray, synthetic: FloatArray, sample_rate: int, rng: np.random.Generator
) -> tuple[FloatArray, float, float]:
    """
    Put one stretch of a second version of a recording into the first.

    The stretch is 1 to 3 s long, at most half of the whole. Either end moves by up to 0.1 s to the quietest place there
    and is cross-faded over 10 ms; the stretch gets the level of what it replaces, within 12 dB.

    Args:
        genuine: What is kept, shape (n_samples,). The two may be exchanged: a genuine stretch in synthetic speech.
        synthetic: What the stretch is taken from, shape (n_samples,).
        sample_rate: In Hz.
        rng: What decides where and how long.

    Returns:
        The signal, and where the stretch begins and ends in seconds, its fades included.

    Raises:
        ValueError: If the two differ in length.
    """
    if genuine.shape != synthetic.shape:
        raise ValueError(f"two versions of one recording have one length, not {len(genuine)} and {len(synthetic)}")
    length = min(round(rng.uniform(1.0, 3.0) * sample_rate), len(genuine) // 2)
    at = int(rng.integers(0, len(genuine) - length + 1))
    reach = min(round(_SEARCH_SECONDS * sample_rate), length // 4)
    start, end = (_quietest(genuine, edge, reach, sample_rate) for edge in (at, at + length))
    stretch, replaced = synthetic[start:end], genuine[start:end]
    level = np.clip(_rms(replaced) / max(_rms(stretch), 1e-9), 1 / 4, 4.0)
    # Gains that add up to one: what both versions share passes the seams unchanged.
    fade = min(round(_FADE_SECONDS * sample_rate), len(stretch) // 2)
    share = np.ones(len(stretch))
    share[:fade] = 0.5 - 0.5 * np.cos(np.pi * (np.arange(fade) + 0.5) / max(1, fade))
    share[len(share) - fade :] = share[:fade][::-1]
    out = genuine.copy()
    out[start:end] += (share * (level * stretch - replaced)).astype(np.float32)
    return out, start / sample_rate, end / sample_rate


def _quietest(signal: FloatArray, near: int, reach: int, sample_rate: int) -> int:
    """Return the middle of the quietest 10 ms around a sample."""
    window = max(1, round(_FADE_SECONDS * sample_rate))
    first, last = max(0, near - reach), min(len(signal), near + reach)
    if last - first <= window:
        return near
    energy = np.convolve(np.square(signal[first:last], dtype=np.float64), np.ones(window), mode="valid")
    return first + int(np.argmin(energy)) + window // 2


# --- pitch -----------------------------------------------------------------------------------------------------

_PITCH_RATE = 8_000
_PITCH_HOP = 80
_PITCH_WINDOW = 400
_LAGS = (20, 123)  # 400 to 65 Hz
_VOICED = 0.6
# Of two equally good periods, the shorter one is meant; in correlation per octave.
_OCTAVE_COST = 0.1


def pitch_hz(signal: FloatArray, sample_rate: int) -> Array:
    """
    Estimate the pitch every 10 ms, in Hz; 0 where there is none.

    From the autocorrelation of windowed frames divided by that of the window (Boersma 1993), 65 to 400 Hz, smoothed by
    a median of five. Where WORLD's DIO and Harvest agree on real speech, this does too in 94 % of the frames.

    Args:
        signal: Shape (n_samples,).
        sample_rate: In Hz.

    Returns:
        Shape (1 + duration / 10 ms,).
    """
    from scipy import fft

    low = _resampled(signal, sample_rate, _PITCH_RATE)
    padded = np.pad(low, (_PITCH_WINDOW // 2, _PITCH_WINDOW))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _PITCH_WINDOW)[: len(low) + 1 : _PITCH_HOP]
    window = np.hanning(_PITCH_WINDOW)
    windowed = np.vstack([(frames - frames.mean(axis=1, keepdims=True)) * window, window])
    # Without high harmonics, whose correlation is so narrow that it falls between two samples.
    keep = np.exp(-np.square(_bins_hz(1024, _PITCH_RATE) / 1_500))
    lags = fft.irfft(np.square(np.abs(fft.rfft(windowed, 1024))) * keep)[:, : _LAGS[1] + 1]
    energy = lags[:-1, :1]
    correlation = lags[:-1] / np.maximum(energy, 1e-12) / (lags[-1] / lags[-1, 0])
    first, last = _LAGS
    periods = first + np.argmax(
        correlation[:, first:last] - _OCTAVE_COST * np.log2(np.arange(first, last) / first), axis=1
    )
    left, best, right = (np.take_along_axis(correlation, periods[:, None] + k, axis=1)[:, 0] for k in (-1, 0, 1))
    bend = left - 2 * best + right
    shift = np.where(bend < 0, (left - right) / np.where(bend < 0, 2 * bend, 1.0), 0.0).clip(-0.5, 0.5)
    loud = energy[:, 0] > 1e-4 * energy.max()
    hz = np.where(loud & (best > _VOICED), _PITCH_RATE / (periods + shift), 0.0)
    smooth: Array = np.median(np.lib.stride_tricks.sliding_window_view(np.pad(hz, 2, mode="edge"), 5), axis=1)
    return smooth


def _pitch_per_sample(signal: FloatArray, sample_rate: int) -> tuple[Array, Array]:
    """Return the pitch of each sample, continued through unvoiced stretches, and how voiced it is, 0 to 1."""
    hz = pitch_hz(signal, sample_rate)
    times = np.arange(len(hz)) * (_PITCH_HOP / _PITCH_RATE * sample_rate)
    voiced = hz > 0
    at = np.arange(len(signal))
    continued = np.interp(at, times[voiced], hz[voiced]) if voiced.any() else np.full(len(signal), 120.0)
    return continued, np.interp(at, times, voiced.astype(float))


def _pulses(hz: Array, sample_rate: int) -> Array:
    """Return pulses at a pitch, of power 1."""
    return np.diff(np.floor(np.cumsum(hz / sample_rate)), prepend=0.0) * np.sqrt(sample_rate / hz)


def _sines(spectra: Spectra, size: int, hop: int, pitch: Array, highest: float, offsets: Array) -> FloatArray:
    """
    Return the sum of the harmonics, each as loud as the spectrogram says.

    Args:
        spectra: Shape (n_frames, n_bins).
        size: Of the window.
        hop: From frame to frame.
        pitch: Of each sample, in cycles per sample.
        highest: Frequency above which there are none, in cycles per sample.
        offsets: Phase of each harmonic in cycles.
    """
    at = np.arange(len(pitch))
    centres = _centres(len(spectra), size, hop)
    by_frame = np.interp(centres, at, pitch)
    # A sine of amplitude a has a peak of a/2 times the sum of the window.
    amplitudes = np.abs(spectra) * (2 / _window(size).sum())
    turns = np.cumsum(pitch)
    out = np.zeros(len(pitch), dtype=np.float32)
    for k in range(1, int(highest / by_frame.min()) + 1):
        bins = np.round(k * by_frame * size).astype(int)
        there = k * by_frame < highest
        heights = np.where(there, amplitudes[np.arange(len(bins)), np.minimum(bins, size // 2)], 0.0)
        cycles = k * turns + offsets[k % len(offsets)]
        angles = (2 * np.pi * (cycles - np.floor(cycles))).astype(np.float32)
        out += np.cos(angles) * np.interp(at, centres, heights).astype(np.float32)
    return out


def _predictors(spectra: Spectra, size: int, order: int) -> tuple[Array, Array]:
    """
    Solve for the linear predictors of all frames at once (Levinson and Durbin).

    Args:
        spectra: Of windowed frames, shape (n_frames, n_bins).
        size: Of the window.
        order: Of the predictor.

    Returns:
        Filters ``1, a_1, ...``, shape (n_frames, order + 1), and the energy of their errors, shape (n_frames,).
    """
    from scipy import fft

    power = np.square(np.abs(spectra.astype(np.complex128)))
    correlation = fft.irfft(power, size, axis=1)[:, : order + 1]
    # A white floor 60 dB down keeps the system solvable where a band is empty.
    error = correlation[:, 0] * (1 + 1e-6) + 1e-12
    filters = np.zeros((len(spectra), order + 1))
    filters[:, 0] = 1.0
    for m in range(1, order + 1):
        reflection = -np.einsum("ij,ij->i", filters[:, :m], correlation[:, m:0:-1]) / error
        filters[:, 1 : m + 1] += reflection[:, np.newaxis] * filters[:, m - 1 :: -1][:, :m]
        error = error * (1 - np.square(reflection))
    return filters, error


# --- spectra ---------------------------------------------------------------------------------------------------

_OVERLAP = 4


def _sizes(sample_rate: int, hop_seconds: float) -> tuple[int, int]:
    """Return window and hop in samples, of lengths that the FFT likes: four hops are a window."""
    from scipy import fft

    hop = fft.next_fast_len(max(4, round(hop_seconds * sample_rate)))
    return _OVERLAP * hop, hop


@functools.lru_cache(maxsize=4)
def _window(size: int) -> FloatArray:
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)).astype(np.float32)


def _stft(signal: FloatArray, size: int, hop: int) -> Spectra:
    """Return the spectra of Hann windows, shape (n_frames, size // 2 + 1); every sample lies in four of them."""
    from scipy import fft

    n_frames = (size - hop + len(signal) - 1) // hop + 1
    padded = np.pad(signal, (size - hop, n_frames * hop - len(signal)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    return np.asarray(fft.rfft(frames * _window(size), axis=1))


def _istft(spectra: Spectra, size: int, hop: int, length: int) -> FloatArray:
    """Overlap and add windowed frames; the inverse of `_stft`, and of other spectra the signal closest to them."""
    from scipy import fft

    # The squares of four overlapping Hann windows sum up to 3/2.
    frames = fft.irfft(spectra, size, axis=1) * (_window(size) / np.float32(1.5))
    out = np.zeros((len(frames) + _OVERLAP - 1, hop), dtype=np.float32)
    for k in range(_OVERLAP):
        out[k : k + len(frames)] += frames[:, k * hop : (k + 1) * hop]
    return out.reshape(-1)[size - hop : size - hop + length]


def _centres(n_frames: int, size: int, hop: int) -> Array:
    """Return the samples at which frames of `_stft` are centred."""
    return (np.arange(n_frames) + 1.0) * hop - size / 2


def _bins_hz(size: int, sample_rate: int) -> Array:
    return np.arange(size // 2 + 1) * (sample_rate / size)


def _at_phases(magnitudes: FloatArray, radians: Array) -> Spectra:
    return np.asarray(magnitudes * np.exp(1j * radians.astype(np.float32)))


def _log(spectra: Spectra) -> FloatArray:
    return np.log(np.abs(spectra) + np.float32(_FLOOR * spectra.shape[1]))


def _smoothed(log_magnitudes: FloatArray, size: int, n_coefficients: int) -> FloatArray:
    """Keep the first coefficients of the cepstrum: the envelope without the harmonics."""
    from scipy import fft

    cepstrum = fft.irfft(log_magnitudes, size, axis=1)
    cepstrum[:, n_coefficients : size - n_coefficients + 1] = 0.0
    return np.asarray(fft.rfft(cepstrum, axis=1).real)


def _minimum_phase(log_magnitudes: FloatArray, size: int) -> Spectra:
    """Return spectra of these magnitudes whose energy comes as early as can be (Oppenheim and Schafer, chapter 13)."""
    from scipy import fft

    cepstrum = fft.irfft(log_magnitudes, size, axis=1)
    cepstrum[:, 1 : size // 2] *= 2
    cepstrum[:, size // 2 + 1 :] = 0.0
    return np.asarray(np.exp(fft.rfft(cepstrum, axis=1)))


def _mel_filters(n_bands: int, size: int, sample_rate: int) -> FloatArray:
    """Return triangular filters evenly spaced in mel (O'Shaughnessy 1987), shape (n_bands, size // 2 + 1)."""
    edges_mel = np.linspace(0.0, 2595 * np.log10(1 + sample_rate / 2 / 700), n_bands + 2)
    edges = 700 * (10 ** (edges_mel / 2595) - 1)
    # No narrower than a bin on either side, or a low filter might lie between two.
    widths = np.maximum(np.diff(edges), sample_rate / size)
    hz = _bins_hz(size, sample_rate)[np.newaxis]
    middle = edges[1:-1, np.newaxis]
    rising = 1 - (middle - hz) / widths[:-1, np.newaxis]
    falling = 1 - (hz - middle) / widths[1:, np.newaxis]
    return np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)


# --- signals ---------------------------------------------------------------------------------------------------


def _rms(signal: Array) -> float:
    return float(np.sqrt(np.mean(np.square(signal, dtype=np.float64)))) if len(signal) else 0.0


def _resampled(signal: FloatArray, rate_in: int, rate_out: int) -> FloatArray:
    return signal if rate_in == rate_out else np.asarray(soxr.resample(signal, rate_in, rate_out))


def _fitted(signal: FloatArray, length: int) -> FloatArray:
    """Cut or fill with zeros to a length."""
    return np.pad(signal[:length], (0, max(0, length - len(signal))))
