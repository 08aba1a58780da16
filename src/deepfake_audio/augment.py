"""
Changes to a signal that a recording may meet on its way: ``(signal, sample_rate, rng) -> signal``.

All keep length and type (float32), none looks at the label, and each draws its strength from ``rng`` alone: the same
generator in the same state gives the same result.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

if TYPE_CHECKING:
    from collections.abc import Callable

FloatArray = npt.NDArray[np.float32]

_TINY = 1e-12
# The rates that all encoders of `compress` take; for another, a recorder resamples, and so do we.
_CODEC_RATES = (8_000, 12_000, 16_000, 24_000, 48_000)


def add_noise(signal: FloatArray, sample_rate: int, rng: np.random.Generator) -> FloatArray:
    """Add noise 5 to 40 dB below the signal, its power going with the frequency to the power of -2 to 0.5."""
    snr_db = rng.uniform(5.0, 40.0)
    spectrum = np.fft.rfft(rng.standard_normal(len(signal)))
    hz = np.fft.rfftfreq(len(signal), 1 / sample_rate)
    spectrum *= np.maximum(hz, 20.0) ** (rng.uniform(-2.0, 0.5) / 2)
    noise = np.fft.irfft(spectrum, len(signal))
    power, noise_power = (float(np.mean(np.square(x, dtype=np.float64))) for x in (signal, noise))
    scale = np.sqrt(power / max(_TINY, noise_power)) * 10 ** (-snr_db / 20)
    return np.asarray(signal + scale * noise, dtype=np.float32)


def gain(signal: FloatArray, sample_rate: int, rng: np.random.Generator) -> FloatArray:
    """Scale by -20 to +20 dB, clipping at full scale as a recorder does."""
    del sample_rate
    return np.asarray(np.clip(signal * 10 ** rng.uniform(-1.0, 1.0), -1.0, 1.0), dtype=np.float32)


def band_limit(signal: FloatArray, sample_rate: int, rng: np.random.Generator) -> FloatArray:
    """Keep a band only: low-pass at 3 to 8 kHz, in a third of the cases also high-pass at 50 to 400 Hz."""
    high = min(rng.uniform(3_000.0, 8_000.0), 0.49 * sample_rate)
    low = rng.uniform(50.0, 400.0) if rng.random() < 1 / 3 else 0.0
    hz = np.fft.rfftfreq(len(signal), 1 / sample_rate)
    slope_hz = rng.uniform(50.0, 500.0)
    keep = np.clip((high - hz) / slope_hz + 0.5, 0.0, 1.0)
    if low:
        keep *= np.clip((hz - low) / 50.0 + 0.5, 0.0, 1.0)
    return np.fft.irfft(np.fft.rfft(signal) * keep, len(signal)).astype(np.float32)


def equalise(signal: FloatArray, sample_rate: int, rng: np.random.Generator) -> FloatArray:
    """Colour by a smooth random curve of +-8 dB at eight frequencies, as microphones and rooms do."""
    knots_hz = np.geomspace(60.0, 0.5 * sample_rate, 8)
    hz = np.fft.rfftfreq(len(signal), 1 / sample_rate)
    curve_db = np.interp(np.log(np.maximum(hz, 20.0)), np.log(knots_hz), rng.uniform(-8.0, 8.0, 8))
    return np.fft.irfft(np.fft.rfft(signal) * 10 ** (curve_db / 20), len(signal)).astype(np.float32)


def resample_down_and_up(signal: FloatArray, sample_rate: int, rng: np.random.Generator) -> FloatArray:
    """Pass through a lower sample rate of 8 to 15 kHz, at one of soxr's qualities."""
    lower = int(rng.choice([8_000, 11_025, 12_000, 14_000, 15_000]))
    quality = str(rng.choice(["QQ", "LQ", "MQ", "HQ"]))
    down = soxr.resample(signal, sample_rate, lower, quality=quality)
    return _fitted(soxr.resample(down, lower, sample_rate, quality=quality), len(signal))


def compress(signal: FloatArray, sample_rate: int, rng: np.random.Generator) -> FloatArray:
    """Encode and decode by MP3, Vorbis or Opus at a random quality, with libsndfile's own encoders."""
    container, subtype = [("MP3", "MPEG_LAYER_III"), ("OGG", "VORBIS"), ("OGG", "OPUS")][rng.integers(3)]
    level = float(rng.uniform(0.1, 0.9))
    buffer = io.BytesIO()
    peak = max(1.0, float(np.abs(signal).max()))
    rate = sample_rate if sample_rate in _CODEC_RATES else max(_CODEC_RATES)
    with soundfile.SoundFile(
        buffer, "w", rate, 1, subtype=subtype, format=container, compression_level=level
    ) as encoder:
        encoder.write(_resampled(signal / peak, sample_rate, rate))
    buffer.seek(0)
    decoded, _ = soundfile.read(buffer, dtype="float32")
    return _fitted(_resampled(decoded, rate, sample_rate), len(signal)) * np.float32(peak)


def quantise(signal: FloatArray, sample_rate: int, rng: np.random.Generator) -> FloatArray:
    """Round to 256 steps of the mu-law of ITU-T G.711 (continuous form), or to 8 to 14 linear bits."""
    del sample_rate
    peak = max(_TINY, float(np.abs(signal).max()))
    x = signal / peak
    if rng.random() < 1 / 2:
        companded = np.sign(x) * np.log1p(255 * np.abs(x)) / np.log(256)
        steps = np.round(companded * 127.5) / 127.5
        x = np.sign(steps) * np.expm1(np.abs(steps) * np.log(256)) / 255
    else:
        half = 2.0 ** (rng.integers(8, 15) - 1)
        x = np.round(x * half) / half
    return (x * peak).astype(np.float32)


def reverberate(signal: FloatArray, sample_rate: int, rng: np.random.Generator) -> FloatArray:
    """Add a room: noise that decays by 60 dB in 0.1 to 0.8 s, 3 to 20 dB below the direct sound."""
    seconds = rng.uniform(0.1, 0.8)
    n = int(seconds * sample_rate)
    tail = rng.standard_normal(n) * 10 ** (-3 * np.arange(n) / n)
    tail *= 10 ** (-rng.uniform(3.0, 20.0) / 20) / np.sqrt(np.sum(tail**2))
    size = len(signal) + n
    wet = np.fft.irfft(np.fft.rfft(signal, size) * np.fft.rfft(tail, size), size)[: len(signal)]
    return (signal + wet).astype(np.float32)


# What may happen, and how often each does, in this order: the way from a mouth to a file. More than a third of all
# signals pass unchanged.
_CHAIN: tuple[tuple[float, Callable[[FloatArray, int, np.random.Generator], FloatArray]], ...] = (
    (0.08, reverberate),
    (0.15, equalise),
    (0.15, add_noise),
    (0.10, gain),
    (0.08, resample_down_and_up),
    (0.15, band_limit),
    (0.05, quantise),
    (0.15, compress),
)


def augment(signal: FloatArray, sample_rate: int, rng: np.random.Generator) -> FloatArray:
    """Apply a random selection of the changes of this module."""
    for probability, change in _CHAIN:
        if rng.random() < probability:
            signal = change(signal, sample_rate, rng)
    return signal


def mask_spectrogram(features: FloatArray, rng: np.random.Generator) -> FloatArray:
    """
    Replace up to two stretches of time and two of frequency by the spectrogram's mean (SpecAugment, arXiv 1904.08779).

    Args:
        features: Shape (n_bands, n_frames).
        rng: What decides where and how wide: up to a sixth of the bands and an eighth of the frames each.
    """
    masked = features.copy()
    fill = features.mean()
    for axis, share in ((0, 6), (1, 8)):
        size = features.shape[axis]
        for _ in range(rng.integers(0, 3)):
            width = int(rng.integers(0, size // share + 1))
            start = int(rng.integers(0, size - width + 1))
            place = [slice(None), slice(None)]
            place[axis] = slice(start, start + width)
            masked[tuple(place)] = fill
    return masked


def _resampled(signal: FloatArray, rate_in: int, rate_out: int) -> FloatArray:
    return signal if rate_in == rate_out else np.asarray(soxr.resample(signal, rate_in, rate_out))


def _fitted(signal: FloatArray, length: int) -> FloatArray:
    """Cut or fill with zeros to a length."""
    return np.pad(signal[:length], (0, max(0, length - len(signal)))).astype(np.float32)
