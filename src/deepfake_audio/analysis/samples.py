"""
What the samples themselves say, at the sample rate of the file: level, offset, clipping, digital silence, bandwidth.

A ``SampleFacts`` takes a signal in blocks of any size; the result does not depend on how it is cut.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
AnyArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

# Samples of the same value for as long are digital silence: no microphone is so quiet.
SILENCE_SECONDS = 0.01
# As many samples of the same value at full scale are clipped.
CLIPPED_SAMPLES = 3
_FULL_SCALE = 0.99

_SPECTRUM_SECONDS = 0.04
# Below lie the mean and what leaks from it.
_LOWEST_HZ = 40.0
_BANDWIDTH_DB = 60.0

# A band limit is a drop of so much from 250 Hz below to 250 Hz above it, with nothing as strong further up.
_EDGE_DB = 12.0
_EDGE_HZ = 250.0
# Speech has steep slopes of its own below, and the last tenth below half the sample rate belongs to the resampler.
_LOWEST_EDGE_HZ = 1_500.0
_HIGHEST_EDGE = 0.9

# At most so many stretches of digital silence are remembered.
_MOST_RUNS = 1_000


class Runs:
    """
    Counts samples in unbroken runs of one value.

    Attributes:
        total: Samples in runs that are long enough.
        longest: Samples in the longest of these.
        places: First sample and length of each, of the first thousand.
    """

    def __init__(self, shortest: int) -> None:
        self.total = 0
        self.longest = 0
        self.places: list[tuple[int, int]] = []
        self._shortest = shortest
        self._seen = 0
        self._open = 0  # samples of a run that reaches to the end of what was seen, without its first

    def add(self, holds: BoolArray) -> None:
        """Take the next samples: whether each is like the one before."""
        edges = np.flatnonzero(np.diff(np.concatenate([[False], holds, [False]]).astype(np.int8)))
        if self._open and not (len(edges) and edges[0] == 0):
            self._close(self._seen)
        for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            self._open += end - start
            if end < len(holds):
                self._close(self._seen + end)
        self._seen += len(holds)

    def finish(self) -> None:
        """Take note that nothing follows."""
        if self._open:
            self._close(self._seen)

    def _close(self, end: int) -> None:
        length, self._open = self._open + 1, 0
        if length >= self._shortest:
            self.total += length
            self.longest = max(self.longest, length)
            if len(self.places) < _MOST_RUNS:
                self.places.append((end - length, length))


class SampleFacts:
    """
    Measures a signal that comes in blocks.

    Attributes:
        sample_rate: Of the file, in Hz.
        n: Samples so far.
        peak: Largest magnitude.
        silent: Runs of samples of one value.
        clipped: The same at full scale.
        density: Sum of the power spectra of all frames of 40 ms.
    """

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self.n = 0
        self.peak = 0.0
        self._total = self._square = 0.0
        self._last = np.float32(np.nan)  # equals nothing
        self.silent = Runs(round(SILENCE_SECONDS * sample_rate))
        self.clipped = Runs(CLIPPED_SAMPLES)
        self._size = 2 * round(_SPECTRUM_SECONDS * sample_rate / 2)
        self._held = np.empty(0, dtype=np.float32)
        self._window = np.hanning(self._size + 1)[:-1].astype(np.float32)
        self.density: AnyArray = np.zeros(self._size // 2 + 1)

    def add(self, block: FloatArray) -> None:
        """Take the next block."""
        if not len(block):
            return
        self.n += len(block)
        self.peak = max(self.peak, float(np.abs(block).max()))
        self._total += float(block.sum(dtype=np.float64))
        self._square += float(np.square(block, dtype=np.float64).sum())
        same = np.diff(block, prepend=self._last) == 0
        self._last = block[-1]
        self.silent.add(same)
        self.clipped.add(same & (np.abs(block) >= _FULL_SCALE))
        self._add_spectra(np.concatenate([self._held, block]))

    def _add_spectra(self, signal: FloatArray) -> None:
        whole = len(signal) // self._size * self._size
        frames = signal[:whole].reshape(-1, self._size)
        self._held = signal[whole:]
        for piece in np.array_split(frames, max(1, len(frames) // 500)):
            self.density += np.square(np.abs(np.fft.rfft(piece * self._window))).sum(axis=0)

    def finish(self) -> None:
        """Take note that nothing follows; what is left of a frame is filled with zeros if there was no whole one."""
        self.silent.finish()
        self.clipped.finish()
        if self.n and self.n < self._size:
            self._add_spectra(np.pad(self._held, (0, self._size - self.n)))

    @property
    def mean(self) -> float:
        """The mean of all samples; full scale is 1."""
        return self._total / self.n if self.n else 0.0

    @property
    def power(self) -> float:
        """The mean square of all samples about their mean."""
        return max(0.0, self._square / self.n - self.mean**2) if self.n else 0.0


def bandwidth_hz(density: AnyArray, sample_rate: int) -> float | None:
    """
    Return the highest frequency with a power density less than 60 dB below the largest; None if nothing sounds.

    Args:
        density: Of the frequencies from 0 to half the sample rate, in equal steps.
        sample_rate: In Hz.
    """
    hz = np.linspace(0.0, sample_rate / 2, len(density))
    heard = np.where(hz > _LOWEST_HZ, density, 0.0)
    if not heard.max() > 0:
        return None
    return float(hz[np.flatnonzero(heard >= 10 ** (-_BANDWIDTH_DB / 10) * heard.max())[-1]])


def band_limit_hz(density: AnyArray, sample_rate: int) -> float | None:
    """
    Return where the spectrum ends in a cliff, as codecs, filters and resampling leave one; None where it does not.

    Args:
        density: Of the frequencies from 0 to half the sample rate, in equal steps.
        sample_rate: In Hz.
    """
    if not density.max() > 0:
        return None
    step = sample_rate / 2 / (len(density) - 1)
    reach = max(1, round(_EDGE_HZ / step))
    level = 10 * np.log10(np.maximum(density, 1e-13 * density.max()))
    first, last = max(reach, round(_LOWEST_EDGE_HZ / step)), int(_HIGHEST_EDGE * (len(density) - 1))
    places = np.arange(first, min(last, len(density) - reach) + 1)
    if not len(places):
        return None
    sums = np.cumsum(np.concatenate([[0.0], level]))
    below = (sums[places] - sums[places - reach]) / reach
    above = (sums[places + reach] - sums[places]) / reach
    rest = np.maximum.accumulate(level[::-1])[::-1]  # the loudest from here on
    drop = np.where(rest[places + reach - 1] < below - _EDGE_DB, below - above, 0.0)
    best = int(drop.argmax())
    return float(places[best] * step) if drop[best] >= _EDGE_DB else None
