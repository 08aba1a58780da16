"""
Where a recording changes abruptly: jolts, steps of level, changes of spectrum. Splices may leave such traces.

Each function gives a strength at every boundary of two frames of 10 ms (n + 1 of them, the first at 0 s), and `peaks`
picks what stands out. Steps and changes are looked for in the loud parts of speech alone, joined end to end, so that a
pause is none. People's speech changes too: what is a lot is a matter of comparison with genuine recordings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from deepfake_audio.analysis.tracks import FRAMES_PER_SECOND, JOLTS_PER_FRAME

if TYPE_CHECKING:
    from collections.abc import Callable

AnyArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

# What is compared: so much speech before with as much after.
_REACH = 100
_QUANTILES = (10, 25, 50, 75, 90)
_SPECTRAL_RANGE_DB = 80.0
# A jolt is compared with the 15 ms on either side, but for the nearest half millisecond, which is part of it.
_JOLT_REACH = 30
# Of the peak of the signal: weaker jolts may be the rounding noise of samples of 12 bits.
_JOLT_FLOOR = 0.02
_FRAMES_AT_ONCE = 5_000


def jolt_ratios(jolts: AnyArray, peak: float) -> AnyArray:
    """
    Return how many times stronger the strongest jolt at each boundary is than all around it.

    Args:
        jolts: Of each half millisecond, shape (20 n,).
        peak: Largest magnitude of the signal.

    Returns:
        Shape (n + 1,); 0 within 20 ms of either end, where there is nothing to compare with.
    """
    n = len(jolts) // JOLTS_PER_FRAME
    out = np.zeros(n + 1)
    span = 2 * _JOLT_REACH + 3
    if peak == 0 or len(jolts) < span:
        return out
    around = np.lib.stride_tricks.sliding_window_view(jolts, _JOLT_REACH).max(axis=1)
    before, after = around[: len(jolts) - span + 1], around[_JOLT_REACH + 3 :]
    middle = jolts[_JOLT_REACH + 1 : len(jolts) - _JOLT_REACH - 1]
    ratio = middle / np.maximum(np.maximum(before, after), _JOLT_FLOOR * peak)
    boundary = np.round((np.arange(len(middle)) + _JOLT_REACH + 1.5) / JOLTS_PER_FRAME).astype(int)
    np.maximum.at(out, boundary, ratio)
    out[[0, 1, -2, -1]] = 0.0
    return out


def level_steps(level_db: AnyArray, loud: BoolArray) -> AnyArray:
    """
    Return by how many dB the level steps up or down at each boundary, in its quiet and in its loud frames alike.

    The smallest shift among five quantiles of 1 s of speech before and after; 0 where they do not agree on up or
    down, and where there is less speech.

    Args:
        level_db: Of each frame, shape (n,).
        loud: Which frames are speech, and loud.
    """
    return _at_boundaries(level_db, loud, _quantile_shift)


def spectral_changes(bands_db: AnyArray, loud: BoolArray) -> AnyArray:
    """
    Return by how many dB the mean spectrum differs between 1 s of speech before and after each boundary.

    The root mean square over the bands, after the mean over the bands was taken off each frame, so that level does
    not count.

    Args:
        bands_db: Of each frame, shape (n, bands).
        loud: Which frames are speech, and loud.
    """
    if not len(bands_db):
        return np.zeros(1)
    heard = np.maximum(bands_db, np.percentile(bands_db, 95) - _SPECTRAL_RANGE_DB)
    return _at_boundaries(heard - heard.mean(axis=1, keepdims=True), loud, _mean_shift)


def _at_boundaries(values: AnyArray, loud: BoolArray, shift: Callable[[AnyArray], AnyArray]) -> AnyArray:
    out = np.zeros(len(values) + 1)
    (places,) = np.nonzero(loud)
    if len(places) >= 2 * _REACH:
        # Between the k-th and the next frame of speech; where a pause lies between, the change is where speech resumes.
        out[places[_REACH : len(places) - _REACH + 1]] = shift(values[places])
    return out


def _quantile_shift(level_db: AnyArray) -> AnyArray:
    windows = np.lib.stride_tricks.sliding_window_view(level_db, _REACH)
    pieces = np.array_split(windows, -(-len(windows) // _FRAMES_AT_ONCE))
    quantiles = np.concatenate([np.percentile(piece, _QUANTILES, axis=1) for piece in pieces], axis=1)
    change = quantiles[:, _REACH:] - quantiles[:, :-_REACH]
    agree = (np.sign(change) == np.sign(change[0])).all(axis=0)
    return np.where(agree, np.abs(change).min(axis=0), 0.0)


def _mean_shift(bands_db: AnyArray) -> AnyArray:
    sums = np.cumsum(np.pad(bands_db, ((1, 0), (0, 0))), axis=0)
    means = (sums[_REACH:] - sums[:-_REACH]) / _REACH
    return np.asarray(np.sqrt(np.square(means[_REACH:] - means[:-_REACH]).mean(axis=1)))


def peaks(strength: AnyArray, threshold: float, apart_seconds: float) -> list[tuple[float, float]]:
    """
    Return what exceeds a threshold: seconds and strength, in order of time, the strongest of those that are close.

    Args:
        strength: At each boundary of two frames, shape (n + 1,).
        threshold: What a peak exceeds.
        apart_seconds: How far peaks lie apart.
    """
    apart = round(apart_seconds * FRAMES_PER_SECOND)
    taken = strength <= threshold
    chosen = []
    for place in np.argsort(-strength, kind="stable")[: int((~taken).sum())].tolist():
        if not taken[place]:
            chosen.append((place / FRAMES_PER_SECOND, float(strength[place])))
            taken[max(0, place - apart + 1) : place + apart] = True
    return sorted(chosen)
