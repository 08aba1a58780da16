"""What a voice meets before the microphone: the room and other sounds, made on the spot or recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from deepfake_audio.augment.dsp import TINY, convolved, filtered, fitted, frequencies, power, scaled_to, with_noise
from deepfake_audio.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from deepfake_audio.augment.dsp import AnyArray, FloatArray

# Recordings are held in memory by every process that augments: 128 MB of float32 at 16 kHz.
MAX_RECORDINGS = 200
MAX_RECORDING_SECONDS = 10.0


def add_noise(
    signal: FloatArray, sample_rate: int, rng: np.random.Generator, noises: Sequence[FloatArray] = ()
) -> FloatArray:
    """
    Add noise 5 to 40 dB below the signal.

    Args:
        signal: Shape (n_samples,).
        sample_rate: In Hz, of the signal and of the noises.
        rng: What decides level, kind and place.
        noises: Recordings (background noise, music, babble) to take one from, at any place, repeated where it is
            too short. Without any, noise whose power goes with the frequency to the power of -2 to 0.5.
    """
    snr_db = rng.uniform(5.0, 40.0)
    noise = excerpt(noises, len(signal), rng) if noises else _coloured(len(signal), sample_rate, rng)
    return with_noise(signal, noise, snr_db)


def excerpt(noises: Sequence[FloatArray], length: int, rng: np.random.Generator) -> FloatArray:
    """Return a piece of ``length`` samples, from any place of any of the recordings, repeated where it is too short."""
    noise = noises[int(rng.integers(len(noises)))]
    spare = len(noise) - length
    start = int(rng.integers(spare + 1 if spare >= 0 else len(noise)))
    return np.take(noise, np.arange(start, start + length), mode="wrap")


def _coloured(length: int, sample_rate: int, rng: np.random.Generator) -> FloatArray:
    white = rng.standard_normal(length)
    return filtered(white, np.maximum(frequencies(white, sample_rate), 20.0) ** (rng.uniform(-2.0, 0.5) / 2))


def reverberate(
    signal: FloatArray, sample_rate: int, rng: np.random.Generator, rooms: Sequence[FloatArray] = ()
) -> FloatArray:
    """
    Add a room.

    Args:
        signal: Shape (n_samples,).
        sample_rate: In Hz, of the signal and of the responses.
        rng: What decides which room.
        rooms: Recorded impulse responses to take one from: the direct sound, its peak, stays in its place, the power
            stays as it was. Without any, the direct sound stays as it is, and noise that decays by 60 dB in 0.1 to
            0.8 s follows, 3 to 20 dB below it.
    """
    if rooms:
        response = rooms[int(rng.integers(len(rooms)))]
        wet = convolved(signal, response, delay=int(np.abs(response).argmax()))
        return (scaled_to(wet, power(signal)) if response.any() else signal).astype(np.float32)
    tail = diffuse_tail(sample_rate, rng.uniform(0.1, 0.8), rng)
    tail *= 10 ** (-rng.uniform(3.0, 20.0) / 20)
    return (signal + convolved(signal, tail)).astype(np.float32)


def diffuse_tail(sample_rate: int, t60_seconds: float, rng: np.random.Generator) -> AnyArray:
    """Return what a room adds to the direct sound: noise that decays by 60 dB in ``t60_seconds``, of energy 1."""
    n = int(t60_seconds * sample_rate)
    tail = rng.standard_normal(n) * 10 ** (-3 * np.arange(n) / n)
    return np.asarray(tail / np.sqrt(max(TINY, np.sum(tail**2))))


def equalise(signal: FloatArray, sample_rate: int, rng: np.random.Generator) -> FloatArray:
    """Colour by a smooth random curve of +-8 dB at eight frequencies, as microphones and rooms do."""
    knots_hz = np.geomspace(60.0, 0.5 * sample_rate, 8)
    hz = np.maximum(frequencies(signal, sample_rate), 20.0)
    curve_db = np.interp(np.log(hz), np.log(knots_hz), rng.uniform(-8.0, 8.0, 8))
    return filtered(signal, 10 ** (curve_db / 20))


class _Recording(Protocol):
    """The part of ``audio.Recording`` that is needed here."""

    def blocks(self, sample_rate: int, /) -> Iterator[FloatArray]: ...


def read_recordings(
    paths: Sequence[Path],
    sample_rate: int,
    open_recording: Callable[[Path], AbstractContextManager[_Recording]],
) -> tuple[FloatArray, ...]:
    """
    Read recordings of noise or impulse responses of rooms, as `Augmentation` takes them.

    Of more than ``MAX_RECORDINGS`` files as many are taken, evenly spread over the list, and of each the first
    ``MAX_RECORDING_SECONDS``.

    Args:
        paths: The files, as ``datasets.audio_files`` lists those of a directory.
        sample_rate: In Hz, that of the signals to augment.
        open_recording: ``audio.open_recording``.

    Returns:
        One signal for each file, shape (n_samples,).

    Raises:
        DataError: If there are no files, or one is silent from beginning to end.
        AudioError: If one cannot be read.
    """
    if not paths:
        raise DataError("no recordings of noise or rooms were found; name a directory that holds audio files")
    places = np.linspace(0, len(paths) - 1, min(len(paths), MAX_RECORDINGS)).round().astype(int)
    return tuple(_read(paths[place], sample_rate, open_recording) for place in places)


def _read(
    path: Path, sample_rate: int, open_recording: Callable[[Path], AbstractContextManager[_Recording]]
) -> FloatArray:
    wanted = round(MAX_RECORDING_SECONDS * sample_rate)
    blocks: list[FloatArray] = []
    with open_recording(path) as recording:
        for block in recording.blocks(sample_rate):
            blocks.append(block)
            if sum(map(len, blocks)) >= wanted:
                break
    signal = np.concatenate(blocks)
    signal = fitted(signal, min(len(signal), wanted))
    if not signal.any():
        raise DataError(f"{path}: is silent, so it is neither noise nor a room; take it out of the directory")
    return signal
