"""
The detector: a path in, a verdict out.

    >>> from deepfake_audio import Detector  # doctest: +SKIP
    >>> Detector.load().score("voice-note.mp3").verdict  # doctest: +SKIP
    'genuine'
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from deepfake_audio.audio import STDIN, Recording, display_name, open_recording
from deepfake_audio.calibration import p_deepfake
from deepfake_audio.errors import AudioError
from deepfake_audio.localisation import HOP_SECONDS, Region, Timeline, TimelineScorer, regions
from deepfake_audio.modelfile import ModelFile, ModelMetadata, WindowScores, read_model
from deepfake_audio.speech import Window, cut_windows, speech_stretches

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FloatArray = npt.NDArray[np.float32]
Verdict = Literal["genuine", "deepfake", "inconclusive", "no_speech"]

# Less speech than this is no basis for anything.
MIN_SPEECH_SECONDS = 0.4
# Less speech than this gives a score, but no verdict.
SHORT_SPEECH_SECONDS = 1.0

REASONS = {
    "too_close": "the evidence is too weak either way",
    "too_short": f"less than {SHORT_SPEECH_SECONDS:g} s of speech",
    "out_of_domain": "it is unlike the speech that the model was trained on",
}

# Nothing that the model says of a part of such a recording counts either.
_UNJUDGED = {"too_short", "out_of_domain"}

# Windows per run of the model: enough to be fast, small enough to stay in the cache.
_BATCH = 4


@dataclass(frozen=True)
class Segment:
    """A window's score: where it lies, and an indication (not a calibrated verdict) of what it is."""

    start: float
    end: float
    p_deepfake: float


@dataclass(frozen=True)
class ModelRef:
    """Which model gave a score."""

    name: str
    sha256: str


@dataclass(frozen=True)
class Detection:
    """
    What the model says of one recording.

    Attributes:
        path: As it was given.
        verdict: ``genuine``, ``deepfake``, ``inconclusive`` or ``no_speech``.
        p_deepfake: Probability in [0, 1] at equal priors; None without speech.
        llr_genuine: Natural log-likelihood ratio, higher = more genuine; None without speech.
        reasons: Why a verdict is inconclusive; keys of ``REASONS``.
        duration_seconds: Length of the recording.
        speech_seconds: How much of it was scored.
        sample_rate: Of the file, in Hz.
        channels: Of the file.
        sha256: Of the file's bytes.
        segments: One per window, in order.
        model: Which model it was.
        regions: Where it looks synthetic, in order; None unless the detector looks for them. They change no verdict.
        timeline: What the regions were found in; None like them.
    """

    path: str
    verdict: Verdict
    p_deepfake: float | None
    llr_genuine: float | None
    reasons: tuple[str, ...]
    duration_seconds: float
    speech_seconds: float
    sample_rate: int
    channels: int
    sha256: str
    segments: tuple[Segment, ...]
    model: ModelRef
    regions: tuple[Region, ...] | None = None
    timeline: Timeline | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Skipped:
    """A recording that could not be scored; ``reason`` is one of ``errors.AUDIO_REASONS``."""

    path: str
    reason: str
    message: str
    model: ModelRef


class Detector:
    """
    A loaded model.

    Attributes:
        metadata: What the model file says about itself.
        model: Its name and hash.
        threshold: Log-likelihood ratio below which a recording is called a deepfake.
        hop_seconds: If given, recordings are also searched for regions that look synthetic, with scores so far apart;
            ``localisation.HOP_SECONDS`` is what its rules were chosen for. That takes about nine times as long.
    """

    def __init__(
        self, model_file: ModelFile, *, threshold: float | None = None, hop_seconds: float | None = None
    ) -> None:
        self._file = model_file
        self.metadata: ModelMetadata = model_file.metadata
        self.model = ModelRef(self.metadata.name, model_file.sha256)
        self.threshold = self.metadata.threshold if threshold is None else threshold
        if math.isnan(self.threshold):
            raise ValueError("a threshold must be a number, not NaN: everything would be called genuine")
        self.hop_seconds = hop_seconds
        if hop_seconds is not None:
            self._timeline_scorer(hop_seconds)  # which refuses what makes no sense

    @classmethod
    def load(
        cls,
        model: str | os.PathLike[str] = "default",
        *,
        threshold: float | None = None,
        hop_seconds: float | None = None,
    ) -> Detector:
        """
        Load a model.

        Args:
            model: A path, or the name of a shipped model: ``default``, ``svm`` or ``cnn``.
            threshold: Log-likelihood ratio to decide at, instead of the model's own; ``calibration.llr_at`` gives it
                for a probability.
            hop_seconds: As the attribute.

        Raises:
            ModelFileError: If the file is missing, damaged or not one of ours.
        """
        detector = cls(read_model(model), threshold=threshold, hop_seconds=hop_seconds)
        detector._file.score(np.zeros((1, detector.metadata.window_samples), dtype=np.float32))
        return detector

    def score(self, path: str | os.PathLike[str]) -> Detection | Skipped:
        """
        Score one recording; what cannot be read comes back as ``Skipped``.

        Args:
            path: A file, a named pipe, or ``-`` for standard input.
        """
        try:
            with open_recording(path) as recording:
                return dataclasses.replace(self.score_recording(recording), path=_as_given(path))
        except AudioError as error:
            return Skipped(_as_given(path), error.reason, str(error), self.model)

    def score_recording(self, recording: Recording) -> Detection:
        """
        Score an opened recording.

        Raises:
            AudioError: If it cannot be decoded to its end.
        """
        if self.hop_seconds is None:
            return self._detect(recording, None)
        scorer = self._timeline_scorer(self.hop_seconds)
        detection = self._detect(recording, scorer)
        timeline = scorer.timeline(detection.duration_seconds, detection.llr_genuine)
        found = () if _UNJUDGED.intersection(detection.reasons) else regions(timeline)
        return dataclasses.replace(detection, regions=found, timeline=timeline)

    def locate(self, source: str | os.PathLike[str] | Recording, *, hop_seconds: float = HOP_SECONDS) -> Timeline:
        """
        Return how synthetic a recording sounds from moment to moment; ``localisation.regions`` tells where it is.

        Args:
            source: A file, a named pipe, ``-`` for standard input, or an opened recording.
            hop_seconds: As the attribute.

        Raises:
            AudioError: If it cannot be opened, or not be decoded to its end.
        """
        if not isinstance(source, Recording):
            with open_recording(source) as recording:
                return self.locate(recording, hop_seconds=hop_seconds)
        scorer = self._timeline_scorer(hop_seconds)
        detection = self._detect(source, scorer)
        return scorer.timeline(detection.duration_seconds, detection.llr_genuine)

    def _detect(self, recording: Recording, scorer: TimelineScorer | None) -> Detection:
        segments: list[Segment] = []
        scores: list[float] = []
        familiarity = 0.0
        speech_seconds = 0.0
        for batch in _batches(self._windows(recording, scorer), _BATCH):
            found = self.score_windows(batch)
            familiarity += 0.0 if found.familiarity is None else float(found.familiarity.sum())
            for window, score in zip(batch, found.score.tolist(), strict=True):
                scores.append(score)
                speech_seconds += window.speech_seconds
                p = p_deepfake(self.metadata.calibration.llr(score))
                segments.append(Segment(window.start, window.end, p))
        llr = None
        if speech_seconds >= MIN_SPEECH_SECONDS:
            llr = self.metadata.calibration.llr(float(np.mean(scores)))
        verdict, reasons = self._verdict(llr, speech_seconds, familiarity / max(1, len(scores)))
        return Detection(
            path=recording.name,
            verdict=verdict,
            p_deepfake=None if llr is None else p_deepfake(llr),
            llr_genuine=llr,
            reasons=reasons,
            duration_seconds=recording.duration_seconds,
            speech_seconds=speech_seconds,
            sample_rate=recording.sample_rate,
            channels=recording.channels,
            sha256=recording.sha256,
            segments=() if llr is None else tuple(segments),
            model=self.model,
        )

    def score_windows(self, windows: list[Window]) -> WindowScores:
        """Return what the model says of each window."""
        return self._file.score(np.stack([window.signal for window in windows]))

    def _windows(self, recording: Recording, scorer: TimelineScorer | None) -> Iterator[Window]:
        rate = self.metadata.sample_rate
        stretches = speech_stretches(recording.blocks(rate), rate)
        if scorer is not None:
            stretches = scorer.watch(stretches)
        return cut_windows(stretches, rate, self.metadata.window_samples, self.metadata.hop_samples)

    def _timeline_scorer(self, hop_seconds: float) -> TimelineScorer:
        def score(pieces: FloatArray) -> npt.NDArray[np.float64]:
            windows = np.stack([np.resize(piece, self.metadata.window_samples) for piece in pieces])
            return self.metadata.calibration.llr(self._file.score(windows).score.astype(np.float64))

        return TimelineScorer(score, self.metadata.sample_rate, self.metadata.window_samples, hop_seconds)

    def _verdict(self, llr: float | None, speech_seconds: float, familiarity: float) -> tuple[Verdict, tuple[str, ...]]:
        if llr is None:
            return "no_speech", ()
        reasons = []
        if speech_seconds < SHORT_SPEECH_SECONDS:
            reasons.append("too_short")
        if abs(llr - self.threshold) < self.metadata.margin:
            reasons.append("too_close")
        # Whatever the threshold: what the model knows nothing of, it cannot tell at any.
        if self.metadata.familiarity is not None and familiarity < self.metadata.familiarity:
            reasons.append("out_of_domain")
        if reasons:
            return "inconclusive", tuple(reasons)
        return ("deepfake" if llr < self.threshold else "genuine"), ()


def _as_given(path: str | os.PathLike[str]) -> str:
    return display_name(path) if os.fspath(path) == STDIN else os.fspath(path)


def _batches(windows: Iterable[Window], size: int) -> Iterator[list[Window]]:
    windows = iter(windows)
    while batch := list(itertools.islice(windows, size)):
        yield batch
