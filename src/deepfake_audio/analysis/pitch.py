"""
The pitch of a voice, frame by frame: YIN (de Cheveigné and Kawahara 2002), many frames at a time.

``librosa.yin`` gives the same, but compiles itself with numba at first (many seconds) and says nothing of voicing;
``librosa.pyin`` does, and takes 15 times as long. Here the depth of YIN's dip, which is 0 for what repeats exactly and
near 1 for noise, decides on voicing, together with level and steadiness (see ``voiced``).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
AnyArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

LOWEST_HZ, HIGHEST_HZ = 60.0, 500.0

# The first dip below this is taken, not the deepest, which may be that of two periods.
_FIRST_DIP = 0.15
# Frames whose dip is deeper than this may be voiced, if they are at most so far below the loudest.
_VOICED_DIP = 0.35
_VOICED_DB = 45.0
# A voice holds on for at least so many frames, and its pitch moves by at most this many octaves from one to the next.
_SHORTEST_RUN = 5
_LARGEST_STEP = 0.12


def lags(sample_rate: int) -> tuple[int, int]:
    """Return the shortest and the longest period, in samples."""
    return int(sample_rate / HIGHEST_HZ), int(np.ceil(sample_rate / LOWEST_HZ)) + 1


def frame_length(sample_rate: int) -> int:
    """Return how many samples a frame must have: two of the longest periods to compare, and one to shift by."""
    return 3 * lags(sample_rate)[1]


def yin(frames: FloatArray, sample_rate: int) -> tuple[AnyArray, AnyArray]:
    """
    Return the pitch of each frame, voiced or not, and how far the frame is from repeating itself with that period.

    Equations 6 and 8 of the paper, and the absolute threshold and the parabolic interpolation of its steps 4 and 5.

    Args:
        frames: Shape (n, ``frame_length``).
        sample_rate: In Hz.

    Returns:
        Pitch in Hz, and the value of the dip: 0 for an exact repetition, about 1 for noise; shape (n,) each.
    """
    shortest, longest = lags(sample_rate)
    normalised = _normalised_difference(np.asarray(frames, dtype=np.float64), longest)
    near = normalised[:, shortest - 1 : longest + 1]  # one lag more at either end, for the neighbours
    dips = (near[:, 1:-1] < near[:, :-2]) & (near[:, 1:-1] <= near[:, 2:])
    deep = dips & (near[:, 1:-1] < _FIRST_DIP)
    deepest = np.where(dips, near[:, 1:-1], 2.0).argmin(axis=1)
    at = np.where(deep.any(axis=1), deep.argmax(axis=1), deepest) + 1
    rows = np.arange(len(near))
    before, here, after = near[rows, at - 1], near[rows, at], near[rows, at + 1]
    curvature = before - 2 * here + after
    offset = np.where(curvature > 0, (before - after) / (2 * np.where(curvature > 0, curvature, 1.0)), 0.0)
    return sample_rate / (shortest - 1 + at + np.clip(offset, -0.5, 0.5)), np.minimum(here, 1.0)


def _normalised_difference(frames: AnyArray, longest: int) -> AnyArray:
    """Return the cumulative mean normalised difference at the lags 0 to ``longest``; 1 where nothing sounds."""
    window = 2 * longest
    size = 1 << (frames.shape[1] - 1).bit_length()  # what wraps around comes to lie before lag 0
    product = np.fft.rfft(frames, size) * np.fft.rfft(frames[:, window - 1 :: -1], size)
    correlation = np.fft.irfft(product, size)[:, window - 1 : window + longest]
    energy = np.cumsum(np.pad(np.square(frames), ((0, 0), (1, 0))), axis=1)
    shifted = energy[:, window : window + longest + 1] - energy[:, : longest + 1]
    difference = np.maximum(shifted[:, :1] + shifted - 2 * correlation, 0.0)
    # Rounding errors of the transform are no difference.
    difference[difference < 1e-9 * shifted[:, :1]] = 0.0
    sums = np.cumsum(difference[:, 1:], axis=1)
    mean = sums / np.arange(1, longest + 1)
    out = np.ones_like(difference)
    np.divide(difference[:, 1:], mean, out=out[:, 1:], where=mean > 0)
    return np.asarray(out)


def holds(pitch_hz: AnyArray) -> BoolArray:
    """Say which frames have a pitch that follows from that of the frame before, without a leap; shape (n,)."""
    octaves = np.log2(pitch_hz)
    return np.asarray(np.abs(np.diff(octaves, prepend=octaves[:1])) <= _LARGEST_STEP)


def voiced(pitch_hz: AnyArray, dip: AnyArray, level_db: AnyArray) -> BoolArray:
    """
    Say in which frames a voice is heard: periodic, not much below the loudest, and with a pitch that holds for a while.

    Args:
        pitch_hz: Of each frame, shape (n,).
        dip: What ``yin`` gives with it.
        level_db: Of each frame.
    """
    periodic = (dip < _VOICED_DIP) & (level_db > level_db.max(initial=-np.inf) - _VOICED_DB)
    begins = ~holds(pitch_hz) | np.diff(periodic, prepend=periodic[:1])
    run = np.cumsum(begins)  # a number for each stretch without a leap
    return np.asarray(periodic & (np.bincount(run)[run] >= _SHORTEST_RUN))
