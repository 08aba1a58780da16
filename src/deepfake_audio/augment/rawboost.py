"""
The three kinds of noise of RawBoost (Tak et al., ICASSP 2022, arXiv 2111.04433), after its formulas.

Where the paper scales a result that exceeds full scale back to it, here one that exceeds the signal's own peak is
scaled back to that, and powers are taken of the signal at full scale: the level of a recording has no part in this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from deepfake_audio.augment.dsp import convolved, peak, with_noise

if TYPE_CHECKING:
    from deepfake_audio.augment.dsp import AnyArray, FloatArray

# The parameters of arXiv 2111.04433: number, centre, width and length of notch filters; P_rel, g_sd and SNR.
N_NOTCHES = 5
NOTCH_HZ = (20.0, 8_000.0)
NOTCH_WIDTH_HZ = (100.0, 1_000.0)
N_TAPS = (10, 100)
HIGHEST_POWER = 5
NON_LINEAR_GAIN_DB = (-20.0, -5.0)
IMPULSE_SHARE = (0.0, 0.1)
IMPULSE_GAIN = 2.0
SNR_DB = (10.0, 40.0)


def convolutive_noise(signal: FloatArray, sample_rate: int, rng: np.random.Generator) -> FloatArray:
    """
    Add the signal's powers 2 to 5, 5 to 20 dB weaker, to the signal, each through a random `notches` filter.

    ``y = sum over j of g_j * (h_j * x^j)``, as a distorting loudspeaker or transmission makes it. The offset of the
    even powers is removed, since no loudspeaker passes it on.
    """
    loudest = peak(signal)
    x = signal.astype(np.float64) / loudest
    y = _notched(x, sample_rate, rng)
    raised = x
    for _ in range(2, HIGHEST_POWER + 1):
        raised = raised * x  # `**` takes ten times as long
        harmonics = 10 ** (rng.uniform(*NON_LINEAR_GAIN_DB) / 20) * _notched(raised, sample_rate, rng)
        y += harmonics - harmonics.mean()
    return _no_louder(y * loudest, loudest)


def impulsive_noise(signal: FloatArray, sample_rate: int, rng: np.random.Generator) -> FloatArray:
    """
    Disturb up to a tenth of the samples, each in proportion to itself.

    ``y[n] = x[n] + g * D[n] * x[n]`` at random places, ``D`` being the product of two uniform numbers in -1 to 1: what
    clipping converters and interference leave.
    """
    del sample_rate
    places = rng.permutation(len(signal))[: int(rng.uniform(*IMPULSE_SHARE) * len(signal))]
    disturbance = np.zeros(len(signal))
    disturbance[places] = rng.uniform(-1.0, 1.0, len(places)) * rng.uniform(-1.0, 1.0, len(places))
    return _no_louder(signal * (1 + IMPULSE_GAIN * disturbance), peak(signal))


def stationary_noise(signal: FloatArray, sample_rate: int, rng: np.random.Generator) -> FloatArray:
    """Add white noise through a random `notches` filter, 10 to 40 dB below the signal."""
    snr_db = rng.uniform(*SNR_DB)
    return with_noise(signal, _notched(rng.standard_normal(len(signal)), sample_rate, rng), snr_db)


def notches(sample_rate: int, rng: np.random.Generator) -> AnyArray:
    """
    Return an FIR filter with five notches at random, overlapping or not; the largest gain is 1.

    Each is a band-stop of 11 to 101 taps by the window method (Hamming), centred in the middle of its taps.

    Returns:
        Coefficients, an odd number, symmetric: the delay is half of them.
    """
    nyquist = sample_rate / 2
    taps = np.ones(1)
    for _ in range(N_NOTCHES):
        centre_hz = rng.uniform(NOTCH_HZ[0], min(NOTCH_HZ[1], nyquist))
        half_width_hz = rng.uniform(*NOTCH_WIDTH_HZ) / 2
        half = int(rng.integers(N_TAPS[0], N_TAPS[1] + 1)) // 2
        low, high = max(0.0, centre_hz - half_width_hz) / nyquist, min(1.0, (centre_hz + half_width_hz) / nyquist)
        n = np.arange(-half, half + 1)
        stop = np.hamming(len(n)) * (low * np.sinc(low * n) - high * np.sinc(high * n))
        stop[half] += 1.0
        taps = np.convolve(taps, stop)
    return taps / peak(np.fft.rfft(taps, 4_096))


def _notched(x: AnyArray, sample_rate: int, rng: np.random.Generator) -> AnyArray:
    taps = notches(sample_rate, rng)
    return convolved(x, taps, delay=len(taps) // 2)


def _no_louder(signal: AnyArray, loudest: float) -> FloatArray:
    return (signal * min(1.0, loudest / peak(signal))).astype(np.float32)
