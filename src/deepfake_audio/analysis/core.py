"""From a path to an analysis."""

from __future__ import annotations

import dataclasses
import functools
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from deepfake_audio.analysis.changes import peaks
from deepfake_audio.analysis.figures import EVENTS, SILENCE, Figure, judge
from deepfake_audio.analysis.measuring import MAX_SECONDS, Measured, measure_recording
from deepfake_audio.analysis.reference import Reference, read_reference
from deepfake_audio.audio import STDIN, Recording, display_name, open_recording
from deepfake_audio.errors import AudioError
from deepfake_audio.parallel import ordered_map

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

AnyArray = npt.NDArray[np.float64]

# So few files are analysed before a second process has even started.
_FEW_FILES = 20
# Of each kind of event, so many are kept: the strongest.
MAX_EVENTS = 100
# Events of a kind lie so far apart: the strengths of steps and changes fall off over the second that is compared.
_APART_SECONDS = {"jolt_ratio": 0.4, "level_step_db": 1.5, "spectral_change_db": 1.5}


@dataclass(frozen=True)
class Event:
    """
    A place where something changes abruptly.

    Attributes:
        kind: ``jolt``, ``level_step``, ``spectral_change`` or ``digital_silence``.
        seconds: Where it is or begins.
        strength: How strong, or how long; beyond percentile 99 of the strongest in genuine clips, but for silence.
        unit: Of the strength.
    """

    kind: str
    seconds: float
    strength: float
    unit: str


@dataclass(frozen=True)
class Analysis:
    """
    What was found in one recording. It is evidence to look at; no verdict is made of it.

    The contours lie on one grid of 10 ms, shape (n,) each, and end after ``analysed_seconds``.

    Attributes:
        path: As it was given.
        duration_seconds: Length of the recording.
        analysed_seconds: So much from its beginning was analysed in detail: at most 10 minutes.
        speech_seconds: How much of that is speech, pauses left out.
        sample_rate: Of the file, in Hz.
        channels: Of the file; what is analysed is their mean.
        sha256: Of the file's bytes.
        figures: One of each of ``FIGURES``, in that order.
        events: In order of time.
        reference: The genuine clips that it was compared with.
        seconds: The middle of each frame.
        pitch_hz: NaN where no voice is heard.
        level_db: In dBFS, at least -120.
    """

    path: str
    duration_seconds: float
    analysed_seconds: float
    speech_seconds: float
    sample_rate: int
    channels: int
    sha256: str
    figures: tuple[Figure, ...]
    events: tuple[Event, ...]
    reference: Reference = field(repr=False)
    seconds: AnyArray = field(repr=False, compare=False)
    pitch_hz: AnyArray = field(repr=False, compare=False)
    level_db: AnyArray = field(repr=False, compare=False)

    def figure(self, name: str) -> Figure:
        """
        Return one figure.

        Raises:
            KeyError: If there is none of this name.
        """
        return {figure.name: figure for figure in self.figures}[name]

    @property
    def outside(self) -> tuple[Figure, ...]:
        """The figures that lie outside of what genuine clips have."""
        return tuple(figure for figure in self.figures if figure.outside)


@dataclass(frozen=True)
class NotAnalysed:
    """A recording that could not be read; ``reason`` is one of ``errors.AUDIO_REASONS``."""

    path: str
    reason: str
    message: str


def analyse(path: str | os.PathLike[str], reference: Reference | None = None) -> Analysis | NotAnalysed:
    """
    Analyse one recording; what cannot be read comes back as ``NotAnalysed``.

    Args:
        path: A file, a named pipe, or ``-`` for standard input.
        reference: The genuine clips to compare with; None for those that ship.
    """
    given = display_name(path) if os.fspath(path) == STDIN else os.fspath(path)
    try:
        with open_recording(path) as recording:
            return dataclasses.replace(analyse_recording(recording, reference), path=given)
    except AudioError as error:
        return NotAnalysed(given, error.reason, str(error))


def analyse_all(
    paths: Iterable[str], reference: Reference | None = None, *, jobs: int = 1
) -> Iterator[Analysis | NotAnalysed]:
    """
    Analyse many recordings; one result for each, in their order, whatever ``jobs`` is.

    Args:
        paths: Files, or ``-`` for standard input.
        reference: The genuine clips to compare with; None for those that ship.
        jobs: How many processes; few files are analysed in this one.
    """
    paths = list(paths)
    if len(paths) <= _FEW_FILES or STDIN in paths:  # only this process has standard input
        jobs = 1
    return ordered_map(functools.partial(analyse, reference=reference), paths, jobs=jobs)


def analyse_recording(recording: Recording, reference: Reference | None = None) -> Analysis:
    """
    Analyse an opened recording.

    Args:
        recording: Its blocks are read to their end.
        reference: The genuine clips to compare with; None for those that ship.

    Raises:
        AudioError: If it cannot be decoded to its end.
    """
    reference = reference or read_reference()
    measured = measure_recording(recording)
    events = [list(_events(name, measured, reference)) for name in EVENTS]
    return Analysis(
        path=recording.name,
        duration_seconds=recording.duration_seconds,
        analysed_seconds=min(recording.duration_seconds, MAX_SECONDS),
        speech_seconds=measured.speech.seconds,
        sample_rate=recording.sample_rate,
        channels=recording.channels,
        sha256=recording.sha256,
        figures=judge(
            measured.values,
            reference,
            sample_rate=recording.sample_rate,
            speech_seconds=measured.speech.seconds,
        ),
        events=_strongest([*events, list(_silences(measured))]),
        reference=reference,
        seconds=measured.tracks.seconds,
        pitch_hz=np.where(measured.tracks.voiced, measured.tracks.pitch_hz, np.nan),
        level_db=measured.tracks.level_db,
    )


def _events(name: str, measured: Measured, reference: Reference) -> Iterator[Event]:
    """Yield where a change is stronger than the strongest in 99 of 100 genuine clips."""
    if name in reference.ranges:
        spec = EVENTS[name]
        threshold = reference.ranges[name].p99
        for seconds, strength in peaks(getattr(measured.curves, name), threshold, _APART_SECONDS[name]):
            yield Event(spec.kind, seconds, strength, spec.unit)


def _silences(measured: Measured) -> Iterator[Event]:
    """Yield the digital silence within the recording; at its ends it is padding."""
    facts = measured.facts
    for at, length in facts.silent.places:
        if at > 0 and at + length < facts.n:
            yield Event(SILENCE.kind, at / facts.sample_rate, length / facts.sample_rate, SILENCE.unit)


def _strongest(kinds: Iterable[list[Event]]) -> tuple[Event, ...]:
    kept = [e for events in kinds for e in sorted(events, key=lambda e: -e.strength)[:MAX_EVENTS]]
    return tuple(sorted(kept, key=lambda event: event.seconds))
