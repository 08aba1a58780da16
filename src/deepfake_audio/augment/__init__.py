"""
Changes to a signal that a recording may meet on its way: ``(signal, sample_rate, rng) -> signal``.

All keep length and type (float32), none looks at the label, and each draws its strength from ``rng`` alone: the same
generator in the same state gives the same result. `CHANGES` lists them, an `Augmentation` says how often each happens.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from deepfake_audio.augment.channel import (
    band_limit,
    clip,
    compress,
    gain,
    high_pass,
    low_pass,
    quantise,
    resample_down_and_up,
    telephone,
)
from deepfake_audio.augment.dsp import FloatArray
from deepfake_audio.augment.pace import change_speed, change_tempo
from deepfake_audio.augment.rawboost import convolutive_noise, impulsive_noise, stationary_noise
from deepfake_audio.augment.spectrogram import freq_mix_style, mask_spectrogram, mix_up
from deepfake_audio.augment.surroundings import add_noise, equalise, read_recordings, reverberate
from deepfake_audio.errors import DataError

__all__ = [
    "CHANGES",
    "DEFAULT_PROBABILITIES",
    "Augmentation",
    "Change",
    "freq_mix_style",
    "mask_spectrogram",
    "mix_up",
    "read_recordings",
]

Change = Callable[[FloatArray, int, np.random.Generator], FloatArray]

# What may happen, in the order in which it does: the way from a mouth to a file.
CHANGES: dict[str, Change] = {
    "tempo": change_tempo,
    "speed": change_speed,
    "room": reverberate,
    "equalise": equalise,
    "noise": add_noise,
    "gain": gain,
    "clip": clip,
    "rawboost-convolutive": convolutive_noise,
    "rawboost-impulsive": impulsive_noise,
    "rawboost-stationary": stationary_noise,
    "resample": resample_down_and_up,
    "high-pass": high_pass,
    "low-pass": low_pass,
    "band": band_limit,
    "quantise": quantise,
    "telephone": telephone,
    "compress": compress,
}

# More than a third of all signals pass unchanged.
DEFAULT_PROBABILITIES: dict[str, float] = {
    "tempo": 0.01,
    "speed": 0.02,
    "room": 0.08,
    "equalise": 0.15,
    "noise": 0.15,
    "gain": 0.10,
    "clip": 0.02,
    "rawboost-convolutive": 0.01,
    "rawboost-impulsive": 0.01,
    "rawboost-stationary": 0.01,
    "resample": 0.08,
    "high-pass": 0.01,
    "low-pass": 0.10,
    "band": 0.05,
    "quantise": 0.025,
    "telephone": 0.025,
    "compress": 0.15,
}


@dataclass(frozen=True, eq=False)
class Augmentation:
    """
    A random selection of `CHANGES`; call it with a signal, its sample rate and a generator.

    Attributes:
        probabilities: How often each change happens, in [0, 1]; those that are not named never do.
        noises: Recorded noise for the change "noise", shape (n_samples,) each; without any it is made on the spot.
        rooms: Recorded impulse responses for the change "room", likewise.

    Raises:
        DataError: If there is no change of a name, a probability lies outside [0, 1], or a recording is empty.

    Examples:
        >>> only_codecs = Augmentation({"compress": 1.0})
        >>> len(only_codecs(np.zeros(1000, np.float32), 16_000, np.random.default_rng(0)))
        1000
    """

    probabilities: Mapping[str, float] = field(default_factory=DEFAULT_PROBABILITIES.copy)
    noises: tuple[FloatArray, ...] = field(default=(), repr=False)
    rooms: tuple[FloatArray, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        """Refuse what could not be applied, and keep a copy that nobody else changes."""
        object.__setattr__(self, "probabilities", dict(self.probabilities))
        for name, probability in self.probabilities.items():
            if name not in CHANGES:
                raise DataError(f"unknown augmentation {name!r}; known are {', '.join(CHANGES)}")
            if not 0 <= probability <= 1:
                raise DataError(f"augmentation {name!r}: {probability} is no probability; give a number from 0 to 1")
        for recording in (*self.noises, *self.rooms):
            if recording.ndim != 1 or not len(recording) or not np.isfinite(recording).all():
                raise DataError("recorded noise and rooms must be non-empty mono signals of finite samples")

    def __call__(self, signal: FloatArray, sample_rate: int, rng: np.random.Generator) -> FloatArray:
        """Change a signal, shape (n_samples,), or return it as it is; recordings must have its sample rate."""
        recorded: dict[str, Change] = {
            "room": functools.partial(reverberate, rooms=self.rooms),
            "noise": functools.partial(add_noise, noises=self.noises),
        }
        for name, change in (CHANGES | recorded).items():
            if rng.random() < self.probabilities.get(name, 0.0):
                signal = change(signal, sample_rate, rng)
        return signal
