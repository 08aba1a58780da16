"""
From blocks of signal to windows of speech.

Blocks become stretches of speech, and stretches become windows of one fixed length, both as generators. What counts as
speech is judged by energy alone: pauses and steady noise are left out.

Conventions: ``signal`` is float32, mono, shape (n_samples,); ``sample_rate`` is in Hz. Positions in the source are
seconds from its first sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FloatArray = npt.NDArray[np.float32]

_FRAME_SECONDS = 0.02
_CHUNK_SECONDS = 30.0
# Below this a frame is silence however quiet the rest is; the rounding noise of 16 bits lies at -101 dB.
_FLOOR_DB = -85.0
# A frame counts as speech down to this far below the loudest tenth of a second so far.
_RANGE_DB = 35.0
# As far below it, a frame is digital silence: no microphone is so quiet.
_SILENCE_DB = 75.0
# Kept before and after each active stretch, for soft consonants and breath.
_HANGOVER_SECONDS = 0.1
# Levels of speech move by 15 dB and more within a few syllables; those of a hum, a tone or hiss stay within this.
_STEADY_DB = 3.0
# As long must a sound be to count beside steady noise; a click is shorter.
_LEAST_ACTIVE_SECONDS = 0.2
# A rest shorter than this is too short to be judged alone and belongs to the chunk before.
_SHORTEST_REST_SECONDS = 3.0


@dataclass(frozen=True)
class Stretch:
    """A piece of the signal that may be speech; ``start`` is its first sample's place in the whole."""

    start: int
    signal: FloatArray


def speech_stretches(blocks: Iterable[FloatArray], sample_rate: int) -> Iterator[Stretch]:
    """
    Yield the parts of a signal that are not silence, in order and without overlap.

    A view on energy alone: it leaves out pauses and steady noise, it does not know speech from music. The level is
    judged relative to the loudest part so far and without its mean, so gain and DC offset change nothing.
    The result does not depend on how the signal is cut into blocks.
    """
    frame = round(_FRAME_SECONDS * sample_rate)
    chunk_length = round(_CHUNK_SECONDS / _FRAME_SECONDS) * frame
    shortest_rest = round(_SHORTEST_REST_SECONDS / _FRAME_SECONDS) * frame
    loudest = 0.0
    start = 0
    for chunk in _rechunk(blocks, chunk_length, shortest_rest):
        power = _frame_powers(chunk, frame)
        level = moving_mean(power, 5)
        loudest = max(loudest, float(level.max()))
        sounds = power > 10 ** (-_SILENCE_DB / 10) * loudest
        for first, last in _active_frames(_decibels(level), float(_decibels(np.array(loudest)))):
            # What surrounds a stretch is kept for breath; digital silence has none, and its edge would be a feature.
            (heard,) = np.nonzero(sounds[first:last])
            if len(heard):
                begin, end = (first + heard[0]) * frame, (first + heard[-1] + 1) * frame
                yield Stretch(start + int(begin), chunk[begin:end])
        start += len(chunk)


def _rechunk(blocks: Iterable[FloatArray], length: int, shortest_rest: int) -> Iterator[FloatArray]:
    held: list[FloatArray] = []
    n_held = 0
    for block in blocks:
        held.append(block)
        n_held += len(block)
        if n_held < length + shortest_rest:
            continue
        joined = np.concatenate(held)
        while len(joined) >= length + shortest_rest:
            yield joined[:length]
            joined = joined[length:]
        held, n_held = [joined], len(joined)
    if n_held:
        yield np.concatenate(held)


def _frame_powers(signal: FloatArray, frame: int) -> npt.NDArray[np.float64]:
    """Return each frame's mean square about its own mean."""
    n_frames = -(-len(signal) // frame)
    padded = np.pad(signal, (0, n_frames * frame - len(signal)), mode="edge").reshape(n_frames, frame)
    return np.asarray(padded.var(axis=1, dtype=np.float64))


def _decibels(power: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return 10.0 * np.log10(power + 1e-12)


def moving_mean(values: npt.NDArray[np.float64], width: int) -> npt.NDArray[np.float64]:
    """Return the mean of ``width`` values around each, an odd number; beyond either end the last value goes on."""
    half = width // 2
    padded = np.pad(values, half, mode="edge")
    return np.convolve(padded, np.full(width, 1.0 / width), mode="valid")


def _active_frames(level_db: npt.NDArray[np.float64], loudest_db: float) -> Iterator[tuple[int, int]]:
    audible = level_db[level_db > _FLOOR_DB]
    if len(audible) == 0:
        return
    # The loud end is a time and not a share, so that a word in half a minute of steady noise is not lost.
    loud_percent = min(5.0, 100 * _LEAST_ACTIVE_SECONDS / _FRAME_SECONDS / len(audible))
    if np.ptp(np.percentile(audible, (5, 100 - loud_percent))) < _STEADY_DB:
        return
    active = level_db > max(loudest_db - _RANGE_DB, _FLOOR_DB)
    reach = round(_HANGOVER_SECONDS / _FRAME_SECONDS)
    widened = np.convolve(active, np.ones(2 * reach + 1), mode="same") > 0
    edges = np.flatnonzero(np.diff(widened.astype(np.int8), prepend=0, append=0))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


# --- windows ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Window:
    """
    One window of speech, as long as the model wants it.

    Pauses were left out before cutting, so the window may span more of the source than it is long.

    Attributes:
        start: Where it begins in the source, in seconds.
        end: Where it ends in the source, in seconds.
        speech_seconds: The speech in it that no earlier window held.
        signal: Shape (window_samples,). Speech shorter than a window is repeated until the window is full.
    """

    start: float
    end: float
    speech_seconds: float
    signal: FloatArray


def cut_windows(
    stretches: Iterable[Stretch], sample_rate: int, window_samples: int, hop_samples: int
) -> Iterator[Window]:
    """
    Cut speech into windows of one length that cover it to the last sample.

    The last window ends where the speech ends and may overlap the one before by more than usual.
    """
    signal = np.empty(0, dtype=np.float32)
    places = np.empty(0, dtype=np.int64)  # where each sample of `signal` stood in the source
    n_covered = 0  # samples at the front of `signal` that a window has held

    def window(first: int) -> Window:
        held = slice(first, first + window_samples)
        fresh = min(first + window_samples, len(signal)) - max(n_covered, first)
        return Window(
            start=float(places[held][0]) / sample_rate,
            end=float(places[held][-1] + 1) / sample_rate,
            speech_seconds=fresh / sample_rate,
            signal=np.resize(signal[held], window_samples),
        )

    for stretch in stretches:
        signal = np.concatenate([signal, stretch.signal])
        places = np.concatenate([places, np.arange(stretch.start, stretch.start + len(stretch.signal))])
        first = hop_samples if n_covered else 0
        while first + window_samples <= len(signal):
            yield window(first)
            n_covered = first + window_samples
            first += hop_samples
        done = max(0, n_covered - window_samples)  # the last window stays, as the left side of the final one
        signal, places, n_covered = signal[done:], places[done:], n_covered - done
    if len(signal) > n_covered:
        yield window(max(0, len(signal) - window_samples))
