"""What the page draws: figures of `plots` as PNG, white in dark mode too, since their colours are made for white."""

from __future__ import annotations

import dataclasses
import io
from typing import TYPE_CHECKING, Any

from deepfake_audio.webapp.results import PICTURE_RATE, PICTURE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepfake_audio.analysis import Analysis
    from deepfake_audio.detector import Detection
    from deepfake_audio.explanation import Explanation
    from deepfake_audio.webapp.results import FloatArray

# Narrow, so that its letters can still be read where a phone shrinks it.
_WIDTH_INCHES = 4.6
_BELOW_INCHES = 0.45


def over_time(detection: Detection, signal: FloatArray, threshold: float, margin: float) -> bytes:
    """
    Draw waveform, spectrogram and the scores of the windows over the same time.

    Args:
        detection: What the detector said; it must have windows.
        signal: The whole signal, or nothing where it is too long to draw.
        threshold: The log-likelihood ratio that decides.
        margin: What is so close to it is inconclusive.
    """
    from deepfake_audio.plots import recording as plots

    regions = [(region.start, region.end) for region in detection.regions or ()]
    spans = [(segment.start, segment.end) for segment in detection.segments]
    p = [segment.p_deepfake for segment in detection.segments]
    panels: list[Callable[[Any], Any]] = [
        lambda ax: plots.score_timeline(ax, spans, p, threshold, margin, regions),
    ]
    if len(signal):
        panels = [
            lambda ax: plots.waveform(ax, signal, PICTURE_RATE, regions),
            lambda ax: plots.spectrogram(ax, signal, PICTURE_RATE),
            *panels,
        ]
    return _png(panels)


def explained(found: Explanation, signal: FloatArray, start: float) -> bytes:
    """
    Draw a spectrogram and over it what moved the score.

    Args:
        found: The explanation.
        signal: The stretch that it is of.
        start: Where that begins in the recording, in seconds.
    """
    from deepfake_audio.plots import recording as plots

    here = dataclasses.replace(found, starts=found.starts - start, ends=found.ends - start, speech=found.speech - start)
    title = f"What moved the score, from {plots.clock(start)} on" if start else "What moved the score"
    return _png([lambda ax: plots.spectrogram(ax, signal, PICTURE_RATE, here, title=title)], [2.4])


def voice(found: Analysis) -> bytes:
    """Draw pitch and level over time."""
    from deepfake_audio.plots import recording as plots

    return _png(
        [
            lambda ax: plots.pitch_track(ax, found.seconds, found.pitch_hz),
            lambda ax: plots.level_track(ax, found.seconds, found.level_db),
        ]
    )


def is_drawn(detection: Detection) -> bool:
    """Return whether waveform and spectrogram of a recording are drawn."""
    return detection.duration_seconds <= PICTURE_SECONDS


def _png(panels: list[Callable[[Any], Any]], heights: list[float] | None = None) -> bytes:
    from deepfake_audio.plots.drawing import DPI, style
    from deepfake_audio.plots.recording import recording_figure

    figure = recording_figure(panels, heights=heights, width=_WIDTH_INCHES)
    for legend in filter(None, (ax.get_legend() for ax in figure.axes)):
        # Below the last panel, which alone has one: beside it, it would make all else smaller.
        legend.set_bbox_to_anchor((0.0, -_BELOW_INCHES / legend.axes.bbox.height * DPI), legend.axes.transAxes)
    stream = io.BytesIO()
    with style():
        figure.savefig(stream, format="png", dpi=DPI, bbox_inches="tight", facecolor="white")
    return stream.getvalue()
