"""
Which times and frequencies of a recording moved its score.

By occlusion (Zeiler and Fergus 2014, "Visualizing and understanding convolutional networks"): regions of the recording
are replaced, and what the model says then is compared. The model file is run as it is, so this works for every backend.

A region is not silenced but becomes noise with the same spectrogram: as loud as it was at every time and frequency,
without what makes it speech. A hole would be an oddity of its own, which by itself makes genuine recordings look like
deepfakes. What such noise keeps, how loud each band is when, cannot be explained; ``llr_of_noise`` is what that alone
says. Nor does a region show that the model finds as odd as noise.

Signs: ``change`` is the log-likelihood ratio as it is, less what it is without the region. So **positive speaks for
genuine, negative speaks for deepfake**. Changes do not add up: a model looks at regions together.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from deepfake_audio.detector import MIN_SPEECH_SECONDS
from deepfake_audio.speech import Stretch, Window, cut_windows, speech_stretches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from deepfake_audio.audio import Recording
    from deepfake_audio.detector import Detection, Detector

FloatArray = npt.NDArray[np.float64]
# Bands and times, by their numbers.
Region = tuple[slice, slice]

# With these a window is scored 29 times: 6 * 3 regions, 6 bands, 3 times, all of it, and as it is.
N_BANDS = 6
TIMES_PER_WINDOW = 3
SECONDS = 30.0

# Bands widen in proportion to their frequency above this, and are of about one width below.
_CORNER_HZ = 2_000.0
# Over what a region fades into its surroundings.
_FADE_SECONDS, _FADE_HZ = 0.02, 100.0
_FRAME_SECONDS = 0.016
_BATCH = 4


@dataclass(frozen=True, eq=False)
class Explanation:
    """
    What the regions of a recording did to its score.

    Attributes:
        llr: Natural log-likelihood ratio of the part that is explained, higher = more genuine.
        llr_of_noise: The same where all of it is noise with the same spectrogram.
        starts: Where each time begins in the source, in seconds, shape (n_times,).
        ends: Where it ends; pauses, which no model hears, may lie within.
        edges_hz: Between which frequencies the bands are, shape (n_bands + 1,).
        change: What each region did: ``llr`` less what it is without the region, shape (n_bands, n_times). Positive
            speaks for genuine, negative for deepfake.
        by_band: The same of each band all through, shape (n_bands,).
        by_time: The same of each time with all its bands, shape (n_times,).
        speech: Start and end of each stretch that was heard, in seconds, shape (n_stretches, 2).
        n_windows: How many windows the part has.
        n_runs: How many windows the model was run on.
    """

    llr: float
    llr_of_noise: float
    starts: FloatArray
    ends: FloatArray
    edges_hz: FloatArray
    change: FloatArray
    by_band: FloatArray
    by_time: FloatArray
    speech: FloatArray
    n_windows: int
    n_runs: int


def explain(
    detector: Detector,
    recording: Recording,
    *,
    start_seconds: float = 0.0,
    seconds: float = SECONDS,
    progress: Callable[[int, int], object] | None = None,
) -> Explanation | None:
    """
    Explain the score of a recording, or of a part of it as if it were a recording of its own.

    The same recording always has the same explanation. It takes at most 29 runs of the model for each window of the
    part, unless windows overlap by more than a half.

    Args:
        detector: Whose score.
        recording: What ``audio.open_recording`` or ``audio.recording_of`` gives.
        start_seconds: Where the part begins; ``most_telling`` finds one of a long recording.
        seconds: How much speech it has at most.
        progress: Is told how many runs of the model are done, and of how many.

    Returns:
        What moved the score; None where there is too little speech to score.

    Raises:
        AudioError: If the recording cannot be decoded.
    """
    rate = detector.metadata.sample_rate
    speech, places = _speech(recording.blocks(rate), rate, start_seconds, seconds)
    if len(speech) < MIN_SPEECH_SECONDS * rate:
        return None
    occlusion = _Occlusion(detector, speech)
    n_bands, n_times = len(occlusion.edges_hz) - 1, len(occlusion.cuts) - 1
    all_bands, all_times = slice(0, n_bands), slice(0, n_times)
    bands, times = ([slice(k, k + 1) for k in range(n)] for n in (n_bands, n_times))
    regions = [*itertools.product(bands, times), *((band, all_times) for band in bands)]
    regions += [*((all_bands, time) for time in times), (all_bands, all_times)]
    llr, change, n_runs = occlusion.changes(regions, progress)
    cells, by_band, by_time, whole = np.split(change, np.cumsum([n_bands * n_times, n_bands, n_times]))
    cuts = np.array(occlusion.cuts)
    gaps = np.flatnonzero(np.diff(places) > 1)
    return Explanation(
        llr=llr,
        llr_of_noise=llr - float(whole[0]),
        starts=places[cuts[:-1]] / rate,
        ends=(places[cuts[1:] - 1] + 1) / rate,
        edges_hz=occlusion.edges_hz,
        change=cells.reshape(n_bands, n_times),
        by_band=by_band,
        by_time=by_time,
        speech=np.stack([places[np.append(0, gaps + 1)], places[np.append(gaps, -1)] + 1], axis=1) / rate,
        n_windows=len(occlusion.starts),
        n_runs=n_runs,
    )


def most_telling(detection: Detection, threshold: float = 0.0, seconds: float = SECONDS) -> float:
    """
    Return where the part of a recording begins whose windows speak most for the verdict.

    Args:
        detection: What the detector said of the recording.
        threshold: The log-likelihood ratio below which that was ``deepfake``.
        seconds: How long the part may be.

    Returns:
        Seconds from the beginning; 0 if the whole is no longer than that, or has no speech.
    """
    segments = detection.segments
    if not segments or detection.llr_genuine is None or segments[-1].end <= seconds:
        return 0.0
    starts, ends = (np.array([getattr(segment, name) for segment in segments]) for name in ("start", "end"))
    is_deepfake = detection.llr_genuine < threshold
    evidence = np.array([s.p_deepfake if is_deepfake else 1 - s.p_deepfake for s in segments])
    sums = np.append(0.0, np.cumsum(evidence))
    # No part is shorter than it could be: the last one to look at ends with the recording.
    first = np.arange(min(np.searchsorted(starts, ends[-1] - seconds), len(segments) - 1) + 1)
    after = np.maximum(np.searchsorted(ends, starts[first] + seconds, side="right"), first + 1)
    means = (sums[after] - sums[first]) / (after - first)
    return float(starts[np.round(means, 9).argmax()])  # the first of those that differ by rounding alone


def _speech(
    blocks: Iterable[npt.NDArray[np.float32]], rate: int, start_seconds: float, seconds: float
) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Return the speech of a part without its pauses, and the place of each of its samples in the source."""
    begin, missing = round(start_seconds * rate), round(seconds * rate)
    signals, places = [np.empty(0)], [np.empty(0, dtype=np.int64)]
    for stretch in speech_stretches(blocks, rate):
        skipped = max(0, begin - stretch.start)
        signal = stretch.signal[skipped : skipped + missing]
        signals.append(signal.astype(np.float64))
        places.append(stretch.start + skipped + np.arange(len(signal)))
        missing -= len(signal)
        if missing <= 0:
            break
    return np.concatenate(signals), np.concatenate(places)


class _Occlusion:
    """
    Speech of which regions can be replaced.

    Attributes:
        starts: Where each window of the model begins, in samples.
        cuts: Where each time begins, in samples, and where the last one ends.
        edges_hz: Between which frequencies the bands are.
    """

    def __init__(self, detector: Detector, speech: FloatArray) -> None:
        metadata = detector.metadata
        self._detector, self._speech = detector, speech
        self._rate, self._window = metadata.sample_rate, metadata.window_samples
        whole = Stretch(0, speech.astype(np.float32))
        windows = cut_windows([whole], self._rate, self._window, metadata.hop_samples)
        self.starts = [round(window.start * self._rate) for window in windows]
        self.cuts = _cuts(len(speech), self.starts, self._window)
        self.edges_hz = _edges_hz(self._rate)
        # What is taken away where a region is replaced, in each band.
        self._excess = _bands(speech - _noise_like(speech, self._rate), self.edges_hz, self._rate)

    def changes(
        self, regions: list[Region], progress: Callable[[int, int], object] | None
    ) -> tuple[float, FloatArray, int]:
        """
        Return the log-likelihood ratio, how much less it is without each region, and how many runs that took.

        Args:
            regions: Bands and times of each.
            progress: Is told the number of runs done, and of all.
        """
        runs: list[tuple[int | None, int]] = [(None, window) for window in range(len(self.starts))]
        runs += [(n, window) for n, (_, times) in enumerate(regions) for window in self._touched(times)]
        scores = np.empty(len(runs))
        for first in range(0, len(runs), _BATCH):
            batch = [self._without(n if n is None else regions[n], w) for n, w in runs[first : first + _BATCH]]
            scores[first : first + _BATCH] = self._detector.score_windows(batch).score
            if progress is not None:
                progress(first + len(batch), len(runs))
        before = scores[: len(self.starts)]
        lost = np.zeros(len(regions))
        for (n, window), score in zip(runs, scores.tolist(), strict=True):
            if n is not None:
                lost[n] += (before[window] - score) / len(before)
        calibration = self._detector.metadata.calibration
        return calibration.llr(float(before.mean())), calibration.scale * lost, len(runs)

    def _touched(self, times: slice) -> Iterator[int]:
        """Yield the windows that hold a part of these times; what the model says of the others stays as it was."""
        begin, end = self.cuts[times.start], self.cuts[times.stop]
        for window, start in enumerate(self.starts):
            if start < end and begin < start + self._window:
                yield window

    def _without(self, region: Region | None, window: int) -> Window:
        held = slice(self.starts[window], self.starts[window] + self._window)
        signal = self._speech[held]
        if region is not None:
            bands, times = region
            at = self.starts[window] + np.arange(len(signal))
            signal = signal - self._excess[bands, held].sum(axis=0) * self._weight(at, times)
        # Speech shorter than a window is repeated, as the detector does.
        return Window(0.0, 0.0, 0.0, np.resize(signal, self._window).astype(np.float32))

    def _weight(self, at: npt.NDArray[np.int64], times: slice) -> FloatArray:
        """Return 1 within times and 0 outside, with soft edges; the ends of the speech have none."""
        width = _FADE_SECONDS * self._rate
        weight = _rise(at - self.cuts[times.start], width) if times.start > 0 else np.ones(len(at))
        return weight - _rise(at - self.cuts[times.stop], width) if times.stop < len(self.cuts) - 1 else weight


def _rise(x: npt.NDArray[np.int64] | FloatArray, width: float) -> FloatArray:
    """Return what goes smoothly from 0 to 1 around x = 0."""
    risen = (x > 0).astype(np.float64)
    near = np.abs(x) < width / 2
    risen[near] = 0.5 + 0.5 * np.sin(np.pi * x[near] / width)
    return risen


def _cuts(length: int, starts: list[int], window: int) -> list[int]:
    """
    Return where times begin and end: at the edges of windows, and between these at equal steps.

    So no window holds parts of more times than it need, also where the last two overlap.
    """
    step = window / TIMES_PER_WINDOW
    edges = {edge for start in starts for edge in (start, start + window) if step / 4 < edge < length - step / 4}
    marks = [0]
    for edge in sorted(edges):
        if edge - marks[-1] > step / 4:
            marks.append(edge)
    cuts = [0]
    for begin, end in itertools.pairwise([*marks, length]):
        n = max(1, int((end - begin) / step + 1e-9))
        cuts += [begin + (end - begin) * k // n for k in range(1, n + 1)]
    return cuts


def _edges_hz(rate: int) -> FloatArray:
    """Return the edges of the bands, round numbers up to half the sample rate."""
    edges = _CORNER_HZ * np.expm1(np.linspace(0, np.log1p(rate / 2 / _CORNER_HZ), N_BANDS + 1))
    edges[:-1] = np.round(edges[:-1], -2)
    edges[-1] = rate / 2
    return np.asarray(edges)


def _bands(signal: FloatArray, edges_hz: FloatArray, rate: int) -> FloatArray:
    """Return a signal's part in each band, shape (n_bands, n_samples); together they are the signal."""
    n = len(signal)
    size = 1 << (n + rate // 10).bit_length()  # what rings at one end does not reach the other
    spectrum, hz = np.fft.rfft(signal, size), np.fft.rfftfreq(size, 1 / rate)
    above = [np.ones(len(hz)), *(_rise(hz - edge, _FADE_HZ) for edge in edges_hz[1:-1]), np.zeros(len(hz))]
    return np.stack([np.fft.irfft(spectrum * (low - high), size)[:n] for low, high in itertools.pairwise(above)])


def _noise_like(signal: FloatArray, rate: int) -> FloatArray:
    """Return noise that is as loud as a signal at every time and frequency, always the same for the same signal."""
    return _shaped(np.random.default_rng(0).standard_normal(len(signal)), signal, rate)


def _shaped(source: FloatArray, signal: FloatArray, rate: int) -> FloatArray:
    """Return a source of unit power, its short spectra multiplied with the magnitudes of those of a signal."""
    hop = 2 ** round(np.log2(_FRAME_SECONDS * rate)) // 4
    window = np.hanning(4 * hop + 1)[:-1]
    n_frames = -(-len(signal) // hop) + 3

    def spectra(x: FloatArray) -> npt.NDArray[np.complex128]:
        padded = np.pad(x, (3 * hop, n_frames * hop - len(x)), mode="reflect")
        return np.fft.rfft(np.lib.stride_tricks.sliding_window_view(padded, 4 * hop)[::hop][:n_frames] * window)

    # White noise has the power 1.5 * hop in each bin; the squares of the four windows over a sample add up to 1.5.
    frames = np.fft.irfft(np.abs(spectra(signal)) * spectra(source) / np.sqrt(1.5 * hop), 4 * hop) * window
    out = np.zeros((n_frames + 3, hop))
    for part in range(4):
        out[part : part + n_frames] += frames[:, part * hop : (part + 1) * hop]
    return out.ravel()[3 * hop : 3 * hop + len(signal)] / 1.5
