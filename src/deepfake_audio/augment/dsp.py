"""The arithmetic that the changes share: power, filters, convolution, resampling. Signals keep their length."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import soxr

FloatArray = npt.NDArray[np.float32]
# Intermediate results are in double precision.
AnyArray = npt.NDArray[Any]

TINY = 1e-12


def power(signal: AnyArray) -> float:
    """Return the mean square."""
    return float(np.mean(np.square(signal, dtype=np.float64)))


def peak(signal: AnyArray) -> float:
    """Return the largest magnitude, never 0, so that it can be divided by."""
    return max(TINY, float(np.abs(signal).max()))


def scaled_to(signal: AnyArray, wanted: float) -> AnyArray:
    """Scale a signal to a power; silence stays silence."""
    return np.asarray(signal * np.sqrt(wanted / max(TINY**2, power(signal))))


def with_noise(signal: FloatArray, noise: AnyArray, snr_db: float) -> FloatArray:
    """Add noise at a signal-to-noise ratio, powers being taken over the whole length."""
    return np.asarray(signal + scaled_to(noise, power(signal) * 10 ** (-snr_db / 10)), dtype=np.float32)


def frequencies(signal: AnyArray, sample_rate: int) -> AnyArray:
    """Return the frequencies in Hz at which `filtered` wants a gain."""
    return np.fft.rfftfreq(len(signal), 1 / sample_rate)


def filtered(signal: AnyArray, gains: AnyArray) -> FloatArray:
    """Multiply the spectrum by a gain at each of the `frequencies`; no delay, since the gains are real."""
    return np.fft.irfft(np.fft.rfft(signal) * gains, len(signal)).astype(np.float32)


def band(
    signal: AnyArray, sample_rate: int, low_hz: float, high_hz: float, *, low_slope_hz: float, high_slope_hz: float
) -> FloatArray:
    """Keep a band, 0 Hz meaning no lower edge; the gain crosses a half at each edge, in a straight line."""
    hz = frequencies(signal, sample_rate)
    keep = np.clip((min(high_hz, 0.49 * sample_rate) - hz) / high_slope_hz + 0.5, 0.0, 1.0)
    if low_hz:
        keep *= np.clip((hz - low_hz) / low_slope_hz + 0.5, 0.0, 1.0)
    return filtered(signal, keep)


def convolved(signal: AnyArray, response: AnyArray, delay: int = 0) -> AnyArray:
    """Convolve with a response, whose first ``delay`` samples come before their cause, and keep the length."""
    size = 1 << (len(signal) + len(response) - 2).bit_length()
    product = np.fft.rfft(signal, size) * np.fft.rfft(response, size)
    return np.fft.irfft(product, size)[delay : delay + len(signal)]


def resampled(signal: AnyArray, rate_in: float, rate_out: float, quality: str = "HQ") -> FloatArray:
    """Resample to exactly the share of samples that the rates ask for, at least one."""
    if rate_in == rate_out:
        return np.asarray(signal, dtype=np.float32)
    out = soxr.resample(np.asarray(signal, dtype=np.float32), rate_in, rate_out, quality=quality)
    return fitted(out, max(1, round(len(signal) * rate_out / rate_in)))


def fitted(signal: AnyArray, length: int) -> FloatArray:
    """Cut or fill with zeros to a length."""
    return np.pad(signal[:length], (0, max(0, length - len(signal)))).astype(np.float32)
