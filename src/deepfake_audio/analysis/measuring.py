"""One pass over a recording, in blocks: everything that its figures are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from deepfake_audio.analysis.measures import Curves, Speech, Values, find_speech, measure_curves, measure_figures
from deepfake_audio.analysis.samples import SampleFacts
from deepfake_audio.analysis.tracks import RATE, TrackBuilder, Tracks
from deepfake_audio.audio import resample
from deepfake_audio.speech import speech_stretches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from deepfake_audio.audio import Recording

FloatArray = npt.NDArray[np.float32]

# Of a longer recording only so much is analysed in detail; of the rest only what its samples themselves say.
MAX_SECONDS = 600.0


@dataclass(frozen=True)
class Measured:
    """
    What was measured of a recording.

    Attributes:
        facts: Of all of its samples.
        tracks: Of its first ``MAX_SECONDS``, as all that follows.
        speech: Where there is speech.
        curves: How strongly it changes, and where.
        values: One number per figure.
    """

    facts: SampleFacts
    tracks: Tracks
    speech: Speech
    curves: Curves
    values: Values


def measure_recording(recording: Recording) -> Measured:
    """
    Measure an opened recording; memory grows with its first ``MAX_SECONDS`` only.

    Raises:
        AudioError: If it cannot be decoded to its end.
    """
    rate = recording.sample_rate
    facts, builder = SampleFacts(rate), TrackBuilder()
    resampled = resample(_watched(recording.blocks(rate), facts.add), rate, RATE)
    detailed = _watched(_first(resampled, round(MAX_SECONDS * RATE)), builder.add)
    stretches = [(stretch.start, len(stretch.signal)) for stretch in speech_stretches(detailed, RATE)]
    for _ in resampled:
        pass  # the rest is watched, too
    facts.finish()
    tracks = builder.finish()
    speech = find_speech(tracks.level_db, stretches)
    curves = measure_curves(tracks, speech)
    return Measured(facts, tracks, speech, curves, measure_figures(facts, tracks, speech, curves))


def _watched(blocks: Iterable[FloatArray], watch: Callable[[FloatArray], None]) -> Iterator[FloatArray]:
    for block in blocks:
        watch(block)
        yield block


def _first(blocks: Iterable[FloatArray], n: int) -> Iterator[FloatArray]:
    """Yield the first n samples, and ask for no more."""
    for block in blocks:
        yield block[:n]
        n -= len(block)
        if n <= 0:
            return
