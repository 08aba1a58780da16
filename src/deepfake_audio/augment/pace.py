"""Faster and slower speech; what then is missing at the end is taken from the beginning, as for short recordings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from deepfake_audio.augment.dsp import TINY, resampled

if TYPE_CHECKING:
    from deepfake_audio.augment.dsp import FloatArray

_HOP_SECONDS = 0.015
_SLACK_SECONDS = 0.01  # a period of the deepest voices lies within as much to either side


def change_speed(signal: FloatArray, sample_rate: int, rng: np.random.Generator) -> FloatArray:
    """Play 0.9 to 1.1 times as fast; pitch and formants rise with it."""
    return np.resize(resampled(signal, rng.uniform(0.9, 1.1) * sample_rate, sample_rate), len(signal))


def change_tempo(signal: FloatArray, sample_rate: int, rng: np.random.Generator) -> FloatArray:
    """Speak 0.9 to 1.1 times as fast at the same pitch."""
    return np.resize(stretched(signal, sample_rate, rng.uniform(0.9, 1.1)), len(signal))


def stretched(signal: FloatArray, sample_rate: int, tempo: float) -> FloatArray:
    """
    Change the tempo by waveform-similarity overlap-add (WSOLA, Verhelst and Roelands, ICASSP 1993).

    Overlapping frames are taken ``tempo`` times as far apart as they are put down again. Each may give way by 10 ms
    to where it most resembles what followed the frame before it, so that periods of the voice stay whole.

    Args:
        signal: Shape (n_samples,).
        sample_rate: In Hz.
        tempo: More than 1 is faster.

    Returns:
        Shape (about n_samples / tempo,), at least one sample.
    """
    hop, slack = max(1, round(_HOP_SECONDS * sample_rate)), max(1, round(_SLACK_SECONDS * sample_rate))
    size = 2 * hop
    length = max(1, round(len(signal) / tempo))
    padded = np.pad(signal, (slack + hop, 2 * slack + 4 * size))
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    energy = np.cumsum(np.pad(np.square(padded, dtype=np.float64), (1, 0)))
    norms = np.sqrt(np.maximum(energy[size:] - energy[:-size], TINY * energy[-1] + TINY**2))
    n_frames = -(-length // hop) + 1
    out = np.zeros((n_frames + 1) * hop)
    at = slack
    for number in range(n_frames):
        if number:
            first = round(number * hop * tempo)
            followed = padded[at + hop : at + hop + size]
            likeness = np.correlate(padded[first : first + 2 * slack + size], followed, "valid")
            at = first + int((likeness / norms[first : first + 2 * slack + 1]).argmax())
        out[number * hop : number * hop + size] += window * padded[at : at + size]
    return out[hop : hop + length].astype(np.float32)
