"""
Where a recording looks synthetic: from speech to a timeline of scores, and from a timeline to regions.

The windows that a verdict is made of are too long and too few to say where a spliced sentence begins. So speech, with
its pauses left out as for the verdict, is cut once more: into pieces of a second, one every quarter of a second, each
repeated until it fills the model's window, as speech shorter than a window always is. A second tells almost as much as
two do, and a splice in it is blurred half as far. ``TimelineScorer`` does that while the speech goes by.

A *cell* of the ``Timeline`` is about as long as the step from piece to piece, and no pause is in it; its log-likelihood
ratio is that of the pieces whose middles are next to it. ``regions`` finds where synthetic speech is likely:

- Somewhere in a region, the mean over 1.25 s lies at or below ``CERTAIN``.
- It reaches as far as the mean over 0.75 s stays below half of that: half way up to where nothing is known either way.
- Regions less than a second of speech apart are one.
- In a recording that is itself more likely synthetic than not by odds of 2 to 1 (``LIKELY``), so is each stretch
  between regions whose own mean is. A recording that is synthetic throughout is thus one region.

The numbers were chosen on splices of clips that the models had not heard; ``tests/benchmarks/localisation.py`` makes
such splices and measures. That the level of the recording itself is no part of the rules was measured, too: a speaker
or a microphone that scores low throughout is rarer than a splice is hard to see.

Conventions: log-likelihood ratios are natural, higher = more genuine. Like those of windows they are indications: they
are calibrated for whole recordings. Times are seconds from the beginning of the recording.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from deepfake_audio.calibration import p_deepfake
from deepfake_audio.speech import moving_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from deepfake_audio.speech import Stretch

Floats = npt.NDArray[np.float64]
Signals = npt.NDArray[np.float32]
# First cell and the one behind the last.
Span = tuple[int, int]

PIECE_SECONDS = 1.0
HOP_SECONDS = 0.25

# No region without a log-likelihood ratio like this: odds of 33 to 1 for a deepfake.
CERTAIN = -3.5
# Odds of 2 to 1 for a deepfake.
LIKELY = -math.log(2.0)
_DEPTH_SECONDS = 1.25
_EDGE_SECONDS = 0.75
_GAP_SECONDS = 1.0
# Pieces per run of the model: enough to be fast, small enough to stay in the cache.
_BATCH = 4


@dataclass(frozen=True, eq=False)
class Timeline:
    """
    How synthetic a recording sounds from moment to moment.

    Cells do not overlap, and leave out pauses. All arrays have the shape (n_cells,); without speech there are no cells.

    Attributes:
        start: Where each cell begins, in seconds.
        end: Where each cell ends, in seconds.
        llr: Log-likelihood ratio of the second of speech around each cell.
        hop_seconds: About the length of a cell.
        duration_seconds: Of the recording.
        llr_genuine: Of the recording as a whole, which its verdict follows from; None without speech.
    """

    start: Floats
    end: Floats
    llr: Floats
    hop_seconds: float
    duration_seconds: float
    llr_genuine: float | None

    @property
    def times(self) -> Floats:
        """The middle of each cell, in seconds."""
        return (self.start + self.end) / 2

    @property
    def p_deepfake(self) -> Floats:
        """The probability in [0, 1] of each cell, at equal priors."""
        return np.array([p_deepfake(llr) for llr in self.llr.tolist()], dtype=np.float64)


@dataclass(frozen=True)
class Region:
    """
    A part of a recording that looks synthetic, the pauses in it included.

    Attributes:
        start: In seconds.
        end: In seconds.
        p_deepfake: Probability in [0, 1] at equal priors, of its cells on average: an indication.
        llr: Log-likelihood ratio that it was made from.
    """

    start: float
    end: float
    p_deepfake: float
    llr: float


# --- from speech to a timeline ---------------------------------------------------------------------------------


class TimelineScorer:
    """
    Scores pieces of speech while it goes by on its way to the verdict.

    Beside what the timeline will hold, no more is kept than the speech since the last piece.

    Args:
        score: From pieces, shape (n, piece_samples), to their log-likelihood ratios, shape (n,).
        sample_rate: Of the speech, in Hz.
        window_samples: The model's window; pieces are never longer.
        hop_seconds: From one piece to the next.

    Raises:
        ValueError: If pieces would leave out some of the speech, or follow each other by less than a sample.
    """

    def __init__(
        self, score: Callable[[Signals], Floats], sample_rate: int, window_samples: int, hop_seconds: float
    ) -> None:
        self._score = score
        self._rate = sample_rate
        self._piece = min(round(PIECE_SECONDS * sample_rate), window_samples)
        self._hop = round(hop_seconds * sample_rate) if math.isfinite(hop_seconds) else 0
        if not 1 <= self._hop <= self._piece:
            longest = self._piece / sample_rate
            raise ValueError(f"hop_seconds must be more than 0 and at most {longest:g} s, got {hop_seconds!r}")
        self._held = np.empty(0, dtype=np.float32)  # from the first sample of the last piece on
        self._places: list[tuple[int, int]] = []  # of each stretch, its first sample in the recording and its length
        self._llr: list[float] = []

    def watch(self, stretches: Iterator[Stretch]) -> Iterator[Stretch]:
        """Pass speech on, scoring it."""
        for stretch in stretches:
            self._places.append((stretch.start, len(stretch.signal)))
            self._add(stretch.signal)
            yield stretch
        self._finish()

    def _add(self, signal: Signals) -> None:
        self._held = np.concatenate([self._held, signal])
        first = self._hop if self._llr else 0
        n = max(0, (len(self._held) - first - self._piece) // self._hop + 1)
        starts = [first + number * self._hop for number in range(n)]
        for at in range(0, n, _BATCH):
            self._take(np.stack([self._held[start : start + self._piece] for start in starts[at : at + _BATCH]]))
        self._held = self._held[starts[-1] if starts else 0 :]

    def _finish(self) -> None:
        """Score what is left at the end, which no piece has reached yet."""
        covered = self._piece if self._llr else 0
        if len(self._held) > covered:
            self._take(np.resize(self._held[-self._piece :], self._piece)[np.newaxis])

    def _take(self, pieces: Signals) -> None:
        self._llr += self._score(pieces).tolist()

    def timeline(self, duration_seconds: float, llr_genuine: float | None) -> Timeline:
        """
        Return the timeline, once all speech has gone by.

        Args:
            duration_seconds: Of the recording.
            llr_genuine: Of the whole; None if there is too little speech to say, and then there are no cells.
        """
        places = [] if llr_genuine is None else self._places
        none = np.empty(0, dtype=np.int64)
        edges = [start + _evenly(length, self._hop) for start, length in places]
        starts = np.concatenate([none, *(edge[:-1] for edge in edges)])
        ends = np.concatenate([none, *(edge[1:] for edge in edges)])
        lengths = ends - starts
        return Timeline(
            start=starts / self._rate,
            end=np.minimum(ends / self._rate, duration_seconds),
            llr=self._llr_at(np.cumsum(lengths) - lengths / 2),
            hop_seconds=self._hop / self._rate,
            duration_seconds=duration_seconds,
            llr_genuine=llr_genuine,
        )

    def _llr_at(self, samples: Floats) -> Floats:
        """Return the log-likelihood ratio around places in the speech, counted in samples."""
        n_speech = sum(length for _, length in self._places)
        piece = min(self._piece, n_speech)
        # The last piece lies at the end.
        middles = np.minimum(np.arange(len(self._llr)) * self._hop, n_speech - piece) + piece / 2
        return np.interp(samples, middles, self._llr) if len(samples) else np.empty(0)


def _evenly(length: int, step: int) -> npt.NDArray[np.int64]:
    """Return the edges of equal parts that are as long as a step, as nearly as can be."""
    n_parts = max(1, round(length / step))
    return np.arange(n_parts + 1, dtype=np.int64) * length // n_parts


# --- from a timeline to regions --------------------------------------------------------------------------------


def regions(timeline: Timeline) -> tuple[Region, ...]:
    """
    Return which parts of a recording look synthetic, by the rules of this module.

    Returns:
        In order, and without overlap.
    """
    cells = timeline.llr
    if len(cells) == 0:
        return ()
    depth, edge = (moving_mean(cells, _n_cells(s, timeline.hop_seconds)) for s in (_DEPTH_SECONDS, _EDGE_SECONDS))
    spans = _joined(_dips(depth, edge), round(_GAP_SECONDS / timeline.hop_seconds))
    if timeline.llr_genuine is not None and timeline.llr_genuine < LIKELY:
        between = zip([0, *(end for _, end in spans)], [*(first for first, _ in spans), len(cells)], strict=True)
        spans = _joined([*spans, *(s for s in between if s[0] < s[1] and cells[slice(*s)].mean() < LIKELY)], 0)
    return tuple(_region(timeline, first, end) for first, end in spans)


def _n_cells(seconds: float, hop_seconds: float) -> int:
    """Return the odd number of cells next to so many seconds."""
    return 2 * round((seconds / hop_seconds - 1) / 2) + 1


def _dips(depth: Floats, edge: Floats) -> list[Span]:
    """Return what surrounds each cell that is low enough, unless a lower one has it already."""
    spans = []
    free = np.ones(len(depth), dtype=bool)
    for lowest in np.argsort(depth, kind="stable").tolist():
        if depth[lowest] > CERTAIN:
            break
        if free[lowest]:
            first, end = lowest, lowest + 1
            while first > 0 and edge[first - 1] < depth[lowest] / 2:
                first -= 1
            while end < len(edge) and edge[end] < depth[lowest] / 2:
                end += 1
            free[first:end] = False
            spans.append((first, end))
    return spans


def _joined(spans: list[Span], gap: int) -> list[Span]:
    """Return spans in order, those that overlap or are at most ``gap`` cells apart as one."""
    joined: list[Span] = []
    for first, end in sorted(spans):
        if joined and first - joined[-1][1] <= gap:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((first, end))
    return joined


def _region(timeline: Timeline, first: int, end: int) -> Region:
    llr = float(timeline.llr[first:end].mean())
    return Region(float(timeline.start[first]), float(timeline.end[end - 1]), p_deepfake(llr), llr)
