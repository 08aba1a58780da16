"""Signals that tests make for themselves: nothing here is a recording."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import soundfile
from scipy.signal import lfilter

if TYPE_CHECKING:
    from pathlib import Path

FloatArray = npt.NDArray[np.float32]

RATE = 16_000
_FORMANTS_HZ = ((700, 1200, 2600), (300, 2200, 3000), (400, 800, 2500), (550, 1700, 2400))


def sine(hz: float = 440.0, seconds: float = 1.0, rate: int = RATE, peak: float = 0.5) -> FloatArray:
    """Return a sine."""
    return (peak * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def noise(seconds: float = 1.0, rate: int = RATE, peak: float = 0.1, seed: int = 0) -> FloatArray:
    """Return white noise."""
    return (peak * np.random.default_rng(seed).uniform(-1, 1, round(seconds * rate))).astype(np.float32)


def silence(seconds: float = 1.0, rate: int = RATE) -> FloatArray:
    """Return digital silence."""
    return np.zeros(round(seconds * rate), dtype=np.float32)


def voice(seconds: float = 3.0, rate: int = RATE, *, seed: int = 0, robotic: bool = False) -> FloatArray:
    """
    Return something with the shape of speech: syllables of a pulse train through formant filters, with short pauses.

    Args:
        seconds: How long.
        rate: Sample rate in Hz.
        seed: Another seed is another speaker and another text.
        robotic: Flat pitch, no breath noise: easy to tell from the rest, for tests that train a model.
    """
    rng = np.random.default_rng(seed)
    pitch_hz = rng.uniform(90, 220)
    out = np.zeros(0)
    while len(out) < seconds * rate:
        n = round(rng.uniform(0.12, 0.3) * rate)
        glide = 1.0 if robotic else 1 + 0.2 * np.sin(np.linspace(0, rng.uniform(1, 6), n) + rng.uniform(0, 6))
        jitter = 0.0 if robotic else 0.01 * rng.standard_normal(n)
        phase = np.cumsum(np.full(n, pitch_hz) * (glide + jitter) / rate)
        source = np.diff(np.floor(phase), prepend=0.0)
        if not robotic:
            source = source + 0.05 * rng.standard_normal(n)
        for formant_hz in _FORMANTS_HZ[rng.integers(len(_FORMANTS_HZ))]:
            source = _resonate(source, formant_hz * rng.uniform(0.9, 1.1), rate)
        syllable = source * np.hanning(n) / (np.abs(source).max() + 1e-9)
        out = np.concatenate([out, syllable * rng.uniform(0.3, 0.6), np.zeros(round(rng.uniform(0.02, 0.08) * rate))])
    signal = out[: round(seconds * rate)] + 1e-4 * rng.standard_normal(round(seconds * rate))
    return signal.astype(np.float32)


def _resonate(x: npt.NDArray[np.float64], hz: float, rate: int, bandwidth_hz: float = 90.0) -> npt.NDArray[np.float64]:
    radius = np.exp(-np.pi * bandwidth_hz / rate)
    feedback = [1.0, -2 * radius * np.cos(2 * np.pi * hz / rate), radius**2]
    return np.asarray(lfilter([1 - radius], feedback, x))


def write_voices(directory: Path, n_each: int = 30, seconds: float = 2.0) -> Path:
    """Write a labelled data set in the layout `folders`: voices of speakers in sub-folders, and robotic ones."""
    for label, robotic in (("genuine", False), ("deepfake", True)):
        for number in range(n_each):
            folder = directory / label / f"source{number % 10}"
            folder.mkdir(parents=True, exist_ok=True)
            signal = voice(seconds, seed=number + 1000 * robotic, robotic=robotic)
            soundfile.write(folder / f"{number:03}.wav", signal, RATE)
    return directory
