"""What tests measure of signals."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

AnyArray = npt.NDArray[Any]


def rng(seed: int) -> np.random.Generator:
    """Return a generator."""
    return np.random.default_rng(seed)


def power(signal: AnyArray) -> float:
    """Return the mean square."""
    return float(np.mean(np.square(signal, dtype=np.float64)))


def in_db(ratio: float) -> float:
    """Return a ratio of powers in decibels."""
    return float(10 * np.log10(ratio))


def spectrum(signal: AnyArray, rate: int) -> tuple[AnyArray, AnyArray]:
    """Return frequencies and amplitudes."""
    return np.fft.rfftfreq(len(signal), 1 / rate), np.abs(np.fft.rfft(signal.astype(np.float64)))


def pitch_hz(signal: AnyArray, rate: int) -> float:
    """Return the frequency of the strongest partial, between the bins by a parabola through the logarithms."""
    hz, amplitude = spectrum(signal * np.hanning(len(signal)), rate)
    top = int(amplitude.argmax())
    left, middle, right = np.log(amplitude[top - 1 : top + 2])
    return float(hz[1] * (top + 0.5 * (left - right) / (left - 2 * middle + right)))


def delay_of(changed: AnyArray, signal: AnyArray) -> int:
    """Return by how many samples a signal comes later than it did, by the peak of the cross-correlation."""
    size = 2 * len(signal)
    cross = np.fft.irfft(np.fft.rfft(changed, size) * np.conj(np.fft.rfft(signal, size)), size)
    lag = int(cross.argmax())
    return lag if lag < len(signal) else lag - size
