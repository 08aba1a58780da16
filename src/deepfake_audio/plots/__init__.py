"""
Plots of an evaluation, of a comparison, of a training run and of one recording: take an axis, return it.

Scores are natural log-likelihood ratios, higher = more bona fide, as everywhere; rates are fractions, which the axes
show in percent. People read "genuine" and "deepfake". Every plot can be read without colours and by the colour-blind:
what a colour tells is told by a dash, a marker, a hatching or a number as well.

- ``PLOTS``      what can be drawn of many recordings, by name
- ``RECORDING``  what can be drawn of one recording over its time, by name; ``recording_figure`` stacks these
- ``new_axis``   the axis of a new figure, for those who have none
- ``save``       a figure as PNG and SVG, the same bytes for the same data
- ``svg_text``   a figure as an element of a page of HTML

Nothing here touches ``pyplot`` or changes matplotlib's settings for others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepfake_audio.plots.curves import coverage, det, precision_recall, roc
from deepfake_audio.plots.drawing import new_axis, save, svg_text
from deepfake_audio.plots.rates import bars, confusion_matrix, difference, stress_heat_map
from deepfake_audio.plots.recording import (
    level_track,
    pitch_track,
    recording_figure,
    score_timeline,
    spectrogram,
    waveform,
)
from deepfake_audio.plots.scores import reliability, score_histogram
from deepfake_audio.plots.training import training_curves

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes

PLOTS: dict[str, Callable[..., Axes]] = {
    "roc": roc,
    "precision_recall": precision_recall,
    "det": det,
    "confusion_matrix": confusion_matrix,
    "score_histogram": score_histogram,
    "reliability": reliability,
    "bars": bars,
    "stress_heat_map": stress_heat_map,
    "difference": difference,
    "training_curves": training_curves,
    "coverage": coverage,
}
RECORDING: dict[str, Callable[..., Axes]] = {
    "waveform": waveform,
    "spectrogram": spectrogram,
    "score_timeline": score_timeline,
    "pitch_track": pitch_track,
    "level_track": level_track,
}

__all__ = [
    "PLOTS",
    "RECORDING",
    "bars",
    "confusion_matrix",
    "coverage",
    "det",
    "difference",
    "level_track",
    "new_axis",
    "pitch_track",
    "precision_recall",
    "recording_figure",
    "reliability",
    "roc",
    "save",
    "score_histogram",
    "score_timeline",
    "spectrogram",
    "stress_heat_map",
    "svg_text",
    "training_curves",
    "waveform",
]
