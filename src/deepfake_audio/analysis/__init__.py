"""
Voice analysis: what can be measured in a recording of speech, beside what genuine speech has.

Pitch, level, pace and pauses, spectrum and bandwidth, noise and digital silence, clipping, abrupt changes: each a named
figure with a unit, the range in which 98 of 100 genuine clips lie, and one plain sentence where it is outside. It is
evidence to look at, clearly apart from the verdict of a model: no figure here makes or changes one.

    >>> from deepfake_audio.analysis import analyse  # doctest: +SKIP
    >>> analyse("voice-note.mp3").figure("pitch_median_hz").value  # doctest: +SKIP
    118.2

What holds for a recording and what for a clip of genuine speech was measured by the same code, at 16 kHz where rates
differ (`tracks`), and at the rate of the file where the samples themselves are the subject (`samples`).
"""

from deepfake_audio.analysis.core import Analysis, Event, NotAnalysed, analyse, analyse_all, analyse_recording
from deepfake_audio.analysis.figures import EVENTS, FIGURES, SILENCE, EventSpec, Figure, FigureSpec
from deepfake_audio.analysis.measuring import MAX_SECONDS
from deepfake_audio.analysis.reference import Range, Reference, read_reference, reference_ranges

__all__ = [
    "EVENTS",
    "FIGURES",
    "MAX_SECONDS",
    "SILENCE",
    "Analysis",
    "Event",
    "EventSpec",
    "Figure",
    "FigureSpec",
    "NotAnalysed",
    "Range",
    "Reference",
    "analyse",
    "analyse_all",
    "analyse_recording",
    "read_reference",
    "reference_ranges",
]
