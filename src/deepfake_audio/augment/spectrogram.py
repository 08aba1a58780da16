"""Changes to spectrograms, as training makes them of features: masks, and mixtures of two."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from deepfake_audio.augment.dsp import FloatArray


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


def mix_up(
    one: FloatArray, other: FloatArray, rng: np.random.Generator, alpha: float = 0.2
) -> tuple[FloatArray, float]:
    """
    Mix the features of two windows (mixup, arXiv 1710.09412); their targets are to be mixed alike.

    Args:
        one: Any shape.
        other: The same shape.
        rng: What draws the weight.
        alpha: Both parameters of the weight's Beta distribution; the smaller, the closer to one of the two.

    Returns:
        ``weight * one + (1 - weight) * other``, and the weight.
    """
    weight = float(rng.beta(alpha, alpha))
    return (weight * one + (1 - weight) * other).astype(np.float32), weight


def freq_mix_style(features: FloatArray, rng: np.random.Generator, alpha: float = 0.1) -> FloatArray:
    """
    Give each spectrogram of a batch, in part, the mean and deviation that each band has in another one.

    Freq-MixStyle (arXiv 2206.12513): MixStyle (arXiv 2104.02008, also for ``alpha`` and the number that is added to
    the variance) with the statistics of each frequency, which hold the traces of a recording device.

    Args:
        features: Shape (n, n_bands, n_frames).
        rng: What draws partners and weights, one of each for every spectrogram.
        alpha: Both parameters of the weights' Beta distribution.
    """
    mean = features.mean(axis=2, keepdims=True, dtype=np.float64)
    deviation = np.sqrt(features.var(axis=2, keepdims=True, dtype=np.float64) + 1e-6)
    partners = rng.permutation(len(features))
    weight = rng.beta(alpha, alpha, (len(features), 1, 1))
    mixed_mean = weight * mean + (1 - weight) * mean[partners]
    mixed_deviation = weight * deviation + (1 - weight) * deviation[partners]
    return np.asarray((features - mean) / deviation * mixed_deviation + mixed_mean, dtype=np.float32)
