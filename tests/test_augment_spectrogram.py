"""Masks and mixtures of spectrograms against their definitions."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from measures import rng

from deepfake_audio.augment import freq_mix_style, mask_spectrogram, mix_up


def runs(flags: npt.NDArray[np.bool_]) -> list[int]:
    """Return the lengths of the stretches that are set."""
    edges = np.flatnonzero(np.diff(flags.astype(int), prepend=0, append=0))
    return [int(width) for width in edges[1::2] - edges[::2]]


def test_mask() -> None:
    """Up to two stretches of bands and two of frames become the mean, and nothing else changes."""
    features = rng(0).standard_normal((60, 80)).astype(np.float32)
    before = features.copy()
    widths: dict[str, list[int]] = {"bands": [], "frames": []}
    ever = np.zeros(features.shape, dtype=bool)
    for seed in range(200):
        masked = mask_spectrogram(features, rng(seed))
        hidden = masked != features
        np.testing.assert_allclose(masked[hidden], features.mean(), rtol=1e-4, atol=1e-6)
        bands, frames = hidden.all(axis=1), hidden.all(axis=0)
        np.testing.assert_array_equal(hidden, bands[:, np.newaxis] | frames)
        for name, flags, widest in (("bands", bands, 60 // 6), ("frames", frames, 80 // 8)):
            assert len(runs(flags)) <= 2
            assert flags.sum() <= 2 * widest
            widths[name].append(int(flags.sum()))
        ever |= hidden

    np.testing.assert_array_equal(features, before)
    for found in widths.values():
        assert min(found) == 0
        assert max(found) > 10
    assert ever.all()


@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (6, 8), (1, 200), (200, 1)], ids=str)
def test_mask_of_any_shape(shape: tuple[int, int]) -> None:
    """Spectrograms of any size can be masked."""
    for seed in range(50):
        masked = mask_spectrogram(np.ones(shape, np.float32), rng(seed))
        np.testing.assert_allclose(masked, 1, rtol=1e-6)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 8.0])
def test_mix_up(alpha: float) -> None:
    """The mixture lies between the two by its weight, whose mean is 1/2 and whose variance is that of the Beta."""
    one, other = np.full((3, 4), 5, np.float32), np.ones((3, 4), np.float32)
    weights = []
    for seed in range(2_000):
        mixed, weight = mix_up(one, other, rng(seed), alpha)
        np.testing.assert_allclose(mixed, 1 + 4 * weight, rtol=1e-6)
        weights.append(weight)

    assert mixed.dtype == np.float32
    assert np.mean(weights) == pytest.approx(1 / 2, abs=0.05)
    assert np.var(weights) == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.15)


def batch() -> npt.NDArray[np.float32]:
    """Return five spectrograms of seven bands, each band with a mean and deviation of its own."""
    own = rng(1)
    mean, deviation = own.normal(0, 20, (5, 7, 1)), own.uniform(1, 9, (5, 7, 1))
    return (mean + deviation * own.standard_normal((5, 7, 300))).astype(np.float32)


def normalised(features: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return spectrograms without mean and deviation in any band."""
    return np.asarray((features - features.mean(axis=2, keepdims=True)) / features.std(axis=2, keepdims=True))


def test_freq_mix_style() -> None:
    """What each band does in time stays; mean and deviation of all bands go one way, as far, to another example."""
    features = batch()
    before = features.copy()
    means, deviations = features.mean(axis=2), features.std(axis=2)
    weights, n_own = [], 0
    for seed in range(60):
        mixed = freq_mix_style(features, rng(seed), alpha=0.5)
        np.testing.assert_allclose(normalised(mixed), normalised(features), atol=1e-3)
        for mean, deviation, own_mean, own_deviation in zip(
            mixed.mean(axis=2), mixed.std(axis=2), means, deviations, strict=True
        ):
            if np.allclose(mean, own_mean, atol=1e-3):
                n_own += 1
                continue
            errors = []
            for other_mean, other_deviation in zip(means, deviations, strict=True):
                step = other_mean - own_mean
                share = float(step @ (mean - own_mean) / max(1e-9, step @ step))
                error = np.abs(own_mean + share * step - mean).max()
                error += np.abs(own_deviation + share * (other_deviation - own_deviation) - deviation).max()
                errors.append((error, share))
            error, share = min(errors)
            assert error < 1e-2
            weights.append(1 - share)

    np.testing.assert_array_equal(features, before)
    assert mixed.dtype == np.float32
    assert n_own > 0
    assert len(weights) > 150
    assert min(weights) >= -1e-3
    assert max(weights) <= 1
    assert np.mean(weights) == pytest.approx(1 / 2, abs=0.15)


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 1), (3, 4, 1), (1, 4, 50)], ids=str)
def test_freq_mix_style_without_variation(shape: tuple[int, int, int]) -> None:
    """Bands that never change become a mixture of levels, and one spectrogram alone stays as it is."""
    features = np.arange(shape[0], dtype=np.float32)[:, np.newaxis, np.newaxis] * np.ones(shape, np.float32)
    for seed in range(20):
        mixed = freq_mix_style(features, rng(seed))
        assert mixed.shape == shape
        assert mixed.min() >= 0
        assert mixed.max() <= shape[0] - 1
        if shape[0] == 1:
            np.testing.assert_array_equal(mixed, features)
