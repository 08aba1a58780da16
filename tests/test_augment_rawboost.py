"""RawBoost's three kinds of noise against the formulas and parameters of arXiv 2111.04433."""

from __future__ import annotations

import numpy as np
import pytest
from measures import in_db, power, rng, spectrum
from scipy.signal import firwin, freqz
from signals import RATE, noise, sine, voice

from deepfake_audio.augment import rawboost
from deepfake_audio.augment.rawboost import convolutive_noise, impulsive_noise, notches, stationary_noise


@pytest.mark.parametrize("rate", [8_000, 16_000, 48_000])
def test_notches(rate: int) -> None:
    """Filters are symmetric, of five times 11 to 101 taps, never louder than 1, and take something away."""
    lengths, deepest_db = [], []
    for seed in range(80):
        taps = notches(rate, rng(seed))
        hz, response = freqz(taps, worN=4_096, fs=rate)
        gain_db = 20 * np.log10(np.abs(response) + 1e-9)
        np.testing.assert_allclose(taps, taps[::-1], atol=1e-12)
        assert gain_db.max() == pytest.approx(0, abs=0.01)
        lengths.append(len(taps))
        deepest_db.append(gain_db[hz < min(8_500, rate / 2)].min())

    assert all(length % 2 for length in lengths)
    assert 5 * 10 < min(lengths) < max(lengths) <= 5 * 100 + 1
    assert np.median(deepest_db) < -6


def test_one_notch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A single notch is the band-stop that SciPy designs by the same method."""
    monkeypatch.setattr(rawboost, "N_NOTCHES", 1)
    monkeypatch.setattr(rawboost, "NOTCH_HZ", (2_000.0, 2_000.0))
    monkeypatch.setattr(rawboost, "NOTCH_WIDTH_HZ", (800.0, 800.0))
    monkeypatch.setattr(rawboost, "N_TAPS", (80, 80))
    expected = firwin(81, [1_600, 2_400], pass_zero=True, fs=RATE, scale=False)
    _, response = freqz(expected, worN=4_096)

    np.testing.assert_allclose(notches(RATE, rng(0)), expected / np.abs(response).max(), atol=1e-5)


def test_convolutive_harmonics(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without filters, each power of a sine gives the harmonics of its closed form at gains of -20 to -5 dB."""
    monkeypatch.setattr(rawboost, "notches", lambda *_: np.ones(1))
    tone = sine(500, 1.0, peak=1.0)
    gains_db = []
    for seed in range(40):
        changed = convolutive_noise(tone, RATE, rng(seed))
        _, amplitude = spectrum(changed, RATE)
        harmonics = amplitude[500 : 5 * 500 + 1 : 500]
        beside = np.delete(amplitude, np.arange(0, 8_001, 500))
        assert beside.max() < 1e-3 * harmonics[0]
        assert abs(changed.mean()) < 1e-5
        # sin^5 alone has a fifth harmonic, of 1/16; sin^4 alone a fourth, of 1/8; sin^3 and sin^5 a third.
        scale = np.abs(changed).max()
        assert scale <= 1 + 1e-6
        shares = harmonics / harmonics[0]
        g5, g4 = 16 * shares[4], 8 * shares[3]
        g3 = 4 * (shares[2] - 5 / 16 * g5)  # both turn the third harmonic the same way
        first = 1 / (1 - 3 / 4 * g3 - 5 / 8 * g5)  # the linear part in units of the whole first harmonic
        linear = 1 / first
        gains_db += [20 * np.log10(g / linear) for g in (g3, g4, g5)]

    assert -20.1 < min(gains_db) < -18
    assert -7 < max(gains_db) < -4.9


def test_convolutive_level() -> None:
    """The strength does not depend on the level, and the peak is never exceeded."""
    signal = voice(1)
    for seed in range(10):
        loud, quiet = (convolutive_noise(signal * np.float32(g), RATE, rng(seed)) for g in (2.0, 0.01))
        np.testing.assert_allclose(loud / 2, quiet / 0.01, atol=1e-4)
        assert np.abs(loud).max() <= np.abs(2 * signal).max() * 1.0001


def test_impulsive() -> None:
    """Up to a tenth of the samples change, by twice a product of two uniform numbers times themselves."""
    signal = np.float32(0.1) + np.abs(noise(2.0))
    signal[0] = 2.0  # leaves room for what grows
    shares, disturbances = [], []
    for seed in range(60):
        changed = impulsive_noise(signal, RATE, rng(seed))
        factors = changed / signal
        if np.median(factors) < 1 or factors[0] != 1:
            continue  # the loudest itself was disturbed
        hit = np.abs(factors - 1) > 1e-5
        shares.append(hit.mean())
        disturbances.append((factors[hit] - 1) / 2)
    values = np.concatenate(disturbances)

    assert 0 <= min(shares) < 0.01
    assert 0.09 < max(shares) <= 0.1
    assert np.abs(values).max() <= 1
    assert values.mean() == pytest.approx(0, abs=0.01)
    assert values.var() == pytest.approx(1 / 9, rel=0.05)  # (1/3)^2, that of the product
    assert np.mean(np.abs(values) < 0.2) == pytest.approx(0.2 * (1 - np.log(0.2)), abs=0.01)


def test_impulsive_peak() -> None:
    """What grows beyond the signal's peak scales the whole down to it."""
    signal = np.full(1_000, 0.3, np.float32)
    for seed in range(20):
        changed = impulsive_noise(signal, RATE, rng(seed))
        assert np.abs(changed).max() <= 0.3 + 1e-6


def test_stationary() -> None:
    """Noise through a filter with notches lies 10 to 40 dB below the signal, as strong at its end as at its start."""
    signal = voice(2)
    snr_db = []
    for seed in range(60):
        added = stationary_noise(signal, RATE, rng(seed)).astype(np.float64) - signal
        halves = np.split(added, 2)
        snr_db.append(in_db(power(signal) / power(added)))
        assert in_db(power(halves[0]) / power(halves[1])) == pytest.approx(0, abs=1)
        assert abs(np.corrcoef(added, signal)[0, 1]) < 0.05

    assert 9.99 < min(snr_db) < 12
    assert 38 < max(snr_db) < 40.01
