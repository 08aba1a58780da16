"""
What is measured every 10 ms, at one sample rate for all recordings: level, spectrum, pitch, jolts.

A ``TrackBuilder`` takes a signal in blocks of any size; the result does not depend on how it is cut.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deepfake_audio.analysis.pitch import frame_length, holds, voiced, yin

FloatArray = npt.NDArray[np.float32]
AnyArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

RATE = 16_000
HOP = 160
FRAMES_PER_SECOND = RATE // HOP

# Levels below this are said to be this: digital silence.
FLOOR_DB = -120.0
# Edges of the bands of the spectrum: thirteen steps of equal ratio, from the lowest harmonics to the sibilants.
BAND_EDGES_HZ = np.geomspace(150.0, 7_000.0, 13)
JOLT_SAMPLES = 8
JOLTS_PER_FRAME = HOP // JOLT_SAMPLES

_LEVEL_SAMPLES = 320
_SPECTRUM_SAMPLES = 400
_FFT = 512
_JOLT_ORDER = 6
# What a frame reaches beyond its 10 ms on either side, at most.
_MARGIN = frame_length(RATE) // 2
_FRAMES_AT_ONCE = 500


@dataclass(frozen=True)
class Tracks:
    """
    A recording on a grid of 10 ms; frame k is centred at (k + 0.5) / 100 seconds.

    Attributes:
        level_db: Power about its own mean over 20 ms, in dBFS (a square wave of full scale has 0), shape (n,).
        bands_db: Power density in each band over 25 ms, in dB, shape (n, 12).
        pitch_hz: Of each frame, voiced or not, shape (n,).
        dip: How far a frame is from repeating itself: 0 not at all, 1 noise; shape (n,).
        jolts: Largest magnitude of the sixth difference of the signal in each 0.5 ms, shape (20 n,). That difference
            all but removes what is smooth, as voices are from one sample to the next, and leaves clicks and cuts.
        peak: Largest magnitude of the signal.
    """

    level_db: AnyArray
    bands_db: AnyArray
    pitch_hz: AnyArray
    dip: AnyArray
    jolts: AnyArray
    peak: float

    @property
    def seconds(self) -> AnyArray:
        """The middle of each frame."""
        return np.asarray((np.arange(len(self.level_db)) + 0.5) / FRAMES_PER_SECOND)

    @functools.cached_property
    def voiced(self) -> BoolArray:
        """In which frames a voice is heard."""
        return voiced(self.pitch_hz, self.dip, self.level_db)

    @property
    def holds(self) -> BoolArray:
        """Which frames have a pitch that follows from that of the frame before."""
        return holds(self.pitch_hz)


class TrackBuilder:
    """Makes ``Tracks`` of a signal at ``RATE`` that comes in blocks."""

    def __init__(self) -> None:
        self._held = np.empty(0, dtype=np.float32)
        self._n_samples = 0
        self._n_frames = 0
        self._peak = 0.0
        self._parts: list[tuple[AnyArray, ...]] = []

    def add(self, block: FloatArray) -> None:
        """Take the next block."""
        if not len(block):
            return
        if self._n_samples == 0:
            self._held = np.full(_MARGIN, block[0], dtype=np.float32)
        self._n_samples += len(block)
        self._peak = max(self._peak, float(np.abs(block).max()))
        self._held = np.concatenate([self._held, block])
        while len(self._held) >= _FRAMES_AT_ONCE * HOP + 2 * _MARGIN:
            self._measure(_FRAMES_AT_ONCE)

    def finish(self) -> Tracks:
        """Return what was measured."""
        missing = -(-self._n_samples // HOP) - self._n_frames
        if missing:
            short = missing * HOP + 2 * _MARGIN - len(self._held)
            self._held = np.pad(self._held, (0, short), mode="edge")
            self._measure(missing)
        parts = self._parts or [_measured(np.zeros(2 * _MARGIN + HOP, dtype=np.float32), 0)]
        level, bands, pitch, dip, jolts = (np.concatenate(track) for track in zip(*parts, strict=True))
        return Tracks(level, bands, pitch, dip, jolts, self._peak)

    def _measure(self, n_frames: int) -> None:
        self._parts.append(_measured(self._held[: n_frames * HOP + 2 * _MARGIN], n_frames))
        self._held = self._held[n_frames * HOP :]
        self._n_frames += n_frames


def _measured(signal: FloatArray, n: int) -> tuple[AnyArray, ...]:
    """Measure frames of a signal that reaches ``_MARGIN`` samples beyond them on either side."""
    level = _decibels(_frames(signal, _LEVEL_SAMPLES, n).var(axis=1, dtype=np.float64), FLOOR_DB)
    pieces = _frames(signal, _SPECTRUM_SAMPLES, n)
    windowed = (pieces - pieces.mean(axis=1, keepdims=True)) * _window()
    bands = _decibels(np.square(np.abs(np.fft.rfft(windowed, _FFT))) @ _band_weights(), FLOOR_DB)
    pitch_hz, dip = yin(_frames(signal, frame_length(RATE), n), RATE)
    before = signal[_MARGIN - _JOLT_ORDER : _MARGIN + n * HOP].astype(np.float64)
    jolts = np.abs(np.diff(before, _JOLT_ORDER)).reshape(-1, JOLT_SAMPLES).max(axis=1)
    return level, bands, pitch_hz, dip, jolts


def _frames(signal: FloatArray, length: int, n: int) -> FloatArray:
    """Return n frames, each around the middle of its 10 ms."""
    first = _MARGIN + HOP // 2 - length // 2
    return np.lib.stride_tricks.sliding_window_view(signal[first:], length)[::HOP][:n]


def _decibels(power: AnyArray, floor: float) -> AnyArray:
    return np.asarray(10 * np.log10(np.maximum(power, 10 ** (floor / 10))))


@functools.cache
def _window() -> FloatArray:
    return np.hanning(_SPECTRUM_SAMPLES + 1)[:-1].astype(np.float32)


@functools.cache
def _band_weights() -> AnyArray:
    """Return what makes of a power spectrum the mean density in each band, full scale being 0 dB; (bins, bands)."""
    hz = np.fft.rfftfreq(_FFT, 1 / RATE)[:, None]
    inside = ((hz >= BAND_EDGES_HZ[:-1]) & (hz < BAND_EDGES_HZ[1:])).astype(np.float64)
    return np.asarray(inside / inside.sum(axis=0) / np.square(_window()).sum() / (_FFT / 2))
