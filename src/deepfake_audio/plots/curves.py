"""Curves over all thresholds: ROC, precision and recall, DET, and errors over how many recordings get a verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from deepfake_audio.errors import MetricError
from deepfake_audio.metrics import average_precision, det_curve, eer, precision_recall_curve, roc_auc
from deepfake_audio.metrics.trials import checked
from deepfake_audio.plots.drawing import (
    COLOURS,
    DASHES,
    MARKERS,
    QUIET,
    counted,
    in_percent,
    legend_beside,
    named,
    percent,
    styled,
    thinned,
    titled,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes

    from deepfake_audio.plots.drawing import FloatArray, TwoClasses

# So many curves can still be told apart; of more, those with the highest equal error rates are drawn.
MOST_CURVES = 20
# With more, a legend of two lines each would be higher than the axis.
_ROOMY = 8
# Where all of the ROC curves lie in its corner, the corner is drawn again, so wide.
_CORNER = 0.1
# Percentages that an axis of normal deviates may show, and how far apart two must be, in parts of the axis.
_TICKS = (0.01, 0.1, 0.5, 1, 2, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 98, 99, 99.5, 99.9)
_APART = 0.055


@styled
def roc(ax: Axes, systems: Mapping[str, TwoClasses], *, title: str = "ROC") -> Axes:
    """
    Draw receiver operating characteristics: what share of genuine trials is accepted, over that of deepfakes.

    Args:
        ax: Where to draw.
        systems: Scores of the bona fide and of the spoofed trials by system or attack, higher = more bona fide, each
            of shape (n,). The first curve is black.
        title: What stands above.

    Raises:
        MetricError: If there is no system, or a class of one is empty or not finite.
    """
    curves, note = _curves(systems)
    areas = [roc_auc(*curve.trials) for curve in curves]
    panels = [ax]
    if min(areas) > 1 - _CORNER / 2:
        panels.append(ax.inset_axes((0.43, 0.14, 0.54, 0.54)))
    else:
        ax.plot([0, 1], [0, 1], color=QUIET, linewidth=0.8, linestyle=":")
    for curve in curves:
        found = det_curve(*curve.trials)
        for panel, span in zip(panels, (1.0, _CORNER), strict=False):
            panel.plot(*thinned(found.far, 1 - found.frr, (span, span)), **curve.path)
    in_percent(ax, "deepfake called genuine (false acceptance rate), %", "genuine called genuine, %")
    for corner in panels[1:]:
        in_percent(corner, "", "")
        corner.set(xlim=(-0.003, _CORNER), ylim=(1 - _CORNER, 1.003))
        corner.set_title("the corner, enlarged", fontsize=9, fontweight="normal", color=QUIET, pad=3)
    ax.set_box_aspect(1)
    return _explained(ax, title, curves, [f"AUC {area:.4f}" for area in areas], note)


@styled
def precision_recall(
    ax: Axes,
    systems: Mapping[str, TwoClasses],
    *,
    positive: Literal["spoof", "bonafide"] = "spoof",
    title: str = "Precision and recall",
) -> Axes:
    """
    Draw precision over recall of one class, in the steps whose area is the average precision.

    Args:
        ax: Where to draw.
        systems: As for ``roc``.
        positive: The class that is looked for.
        title: What stands above.

    Raises:
        MetricError: If there is no system, or a class of one is empty or not finite.
    """
    word = "deepfake" if positive == "spoof" else "genuine"
    curves, note = _curves(systems)
    found = [precision_recall_curve(*curve.trials, positive=positive) for curve in curves]
    # Where everything is deepfake but a few, the axis does not begin at 0, or all curves would lie on its top.
    lowest = max(-0.01, np.floor(10 * min(line.precision.min() for line in found) - 0.5) / 10)
    for curve, line in zip(curves, found, strict=True):
        # The last point, of recall 0, is a convention. The precision of any other holds down to the next recall.
        x, y = np.repeat(line.recall, 2)[1:-1], np.repeat(line.precision[:-1], 2)
        ax.plot(*thinned(x, y, (1.0, 1 - lowest)), **curve.path)
    labels = [f"AP {average_precision(*curve.trials, positive=positive):.4f}" for curve in curves]
    shares = {curve.counts[positive == "spoof"] / sum(curve.counts) for curve in curves}
    if len(shares) == 1:
        (share,) = shares
        ax.axhline(share, color=QUIET, linewidth=0.8, linestyle=":")
        note = "; ".join(filter(None, [note, f"dotted: calling everything {word}"]))
    in_percent(
        ax, f"recall: share of what is {word} that is found, %", f"precision: share of {word} in what is found, %"
    )
    ax.set(ylim=(lowest, 1.0 + 0.01 * (1 - lowest)), box_aspect=1)
    return _explained(ax, title, curves, labels, note)


@styled
def det(ax: Axes, systems: Mapping[str, TwoClasses], *, title: str = "DET") -> Axes:
    """
    Draw detection error trade-offs on normal-deviate axes, with the equal error rates marked.

    On these axes scores of two normal distributions give a straight line (Martin et al. 1997, "The DET curve in
    assessment of detection task performance"). The data of the lines are normal deviates, the ticks are in percent.

    Args:
        ax: Where to draw.
        systems: As for ``roc``.
        title: What stands above.

    Raises:
        MetricError: If there is no system, or a class of one is empty or not finite.
    """
    from scipy.special import ndtri

    curves, note = _curves(systems)
    low, high = ndtri(_det_limits([curve.eer for curve in curves]))
    beyond = (high - low) / 20  # rates of 0 and 1 lie at infinity; so far outside they are drawn
    ax.plot([low, high], [low, high], color=QUIET, linewidth=0.8, linestyle=":")
    for curve in curves:
        found = det_curve(*curve.trials)
        x, y = (np.clip(ndtri(rate), low - beyond, high + beyond) for rate in (found.far, found.frr))
        ax.plot(*thinned(x, y, (high - low, high - low)), **curve.line)
    for curve in curves:
        at = [np.clip(ndtri(curve.eer), low, high)]
        ax.plot(at, at, color=curve.line["color"], zorder=3, clip_on=False, **curve.mark)
    for axis in (ax.xaxis, ax.yaxis):
        places = _spaced(ndtri(np.array(_TICKS) / 100), low, high)
        axis.set_ticks(ndtri(np.array(_TICKS) / 100)[places].tolist(), [f"{_TICKS[place]:g}" for place in places])
    ax.set(xlim=(low, high), ylim=(low, high), xlabel="deepfake called genuine (FAR), %")
    ax.set(ylabel="genuine called deepfake (FRR), %", box_aspect=1)
    return _explained(ax, title, curves, [f"EER {percent(curve.eer, 2)}" for curve in curves], note, marked=True)


@styled
def coverage(
    ax: Axes,
    systems: Mapping[str, TwoClasses],
    thresholds: Mapping[str, float] | None = None,
    margins: Mapping[str, float] | None = None,
    *,
    title: str = "Errors if only the most certain get a verdict",
) -> Axes:
    """
    Draw what share of the verdicts is wrong over the share of recordings that get one, the most certain first.

    Certainty is the distance from the threshold, as in ``evaluation.Covered``; what is equally certain counts
    together.

    Args:
        ax: Where to draw.
        systems: As for ``roc``.
        thresholds: By system; 0 for the others.
        margins: By system, how far from the threshold its verdict is still ``inconclusive``; where the other verdicts
            end is marked.
        title: What stands above.

    Raises:
        MetricError: If there is no system, or a class of one is empty or not finite.
    """
    curves, note = _curves(systems)
    covered = [_covered(curve, (thresholds or {}).get(curve.key, 0.0)) for curve in curves]
    # The very first recordings are right or wrong by chance: they must not set the scale.
    highest = max(errors[shares >= min(0.05, shares[-1])].max() for _, shares, errors in covered)
    top = min(1.02, max(1.15 * highest, 0.01))
    labels = []
    for curve, (distances, shares, errors) in zip(curves, covered, strict=True):
        labels.append(f"wrong: {percent(errors[-1])} of all")
        path = curve.path if len(shares) > 1 else {**curve.line, **curve.mark}
        if curve.key in (margins or {}):
            path = curve.line
            given = np.flatnonzero(distances >= (margins or {})[curve.key])
            if len(given):
                share, error = shares[given[-1]], errors[given[-1]]
                labels[-1] += f", {percent(error)} of the {percent(share, 0)} with a verdict"
                ax.plot([share], [error], color=curve.line["color"], zorder=3, clip_on=False, **curve.mark)
        ax.plot(*thinned(shares, errors, (1.0, top)), **path)
    in_percent(ax, "recordings that get a verdict, the most certain first, %", "wrong verdicts among them, %")
    ax.set_ylim(0, top)
    return _explained(ax, title, curves, labels, note, marked=bool(margins))


@dataclass(frozen=True, eq=False)
class _Curve:
    """One system, and how its curve looks: its number decides."""

    key: str
    trials: tuple[FloatArray, FloatArray]
    eer: float
    number: int = 0
    is_one_of_many: bool = False

    @property
    def counts(self) -> tuple[int, int]:
        return len(self.trials[0]), len(self.trials[1])

    @property
    def line(self) -> dict[str, Any]:
        return {"color": COLOURS[self.number % len(COLOURS)], "linestyle": DASHES[self.number % len(DASHES)]}

    @property
    def path(self) -> dict[str, Any]:
        """Among many, a curve has a few marks along it, at other places than its neighbours."""
        if not self.is_one_of_many:
            return self.line
        return {**self.line, **self.mark, "markevery": (0.03 + 0.071 * self.number % 0.35, 0.35)}

    @property
    def mark(self) -> dict[str, Any]:
        return {"marker": MARKERS[self.number % len(MARKERS)], "markersize": 6.5, "markeredgecolor": "white"}


def _curves(systems: Mapping[str, TwoClasses]) -> tuple[list[_Curve], str]:
    """Return what is drawn, and a note on what is not."""
    if not systems:
        raise MetricError("there is no system to draw")
    every = []
    for key, (bonafide, spoof) in systems.items():
        trials = checked("bona fide", bonafide), checked("spoofed", spoof)
        every.append(_Curve(key, trials, eer(*trials).rate))
    chosen = every
    if len(every) > MOST_CURVES:
        worst = {curve.key for curve in sorted(every[1:], key=lambda curve: -curve.eer)[: MOST_CURVES - 1]}
        chosen = [curve for curve in every if curve is every[0] or curve.key in worst]
    note = "" if chosen is every else f"{MOST_CURVES} of {len(every)}: the first, and those with the highest EER"
    many = len(chosen) > len(DASHES)
    return [_Curve(curve.key, curve.trials, curve.eer, number, many) for number, curve in enumerate(chosen)], note


def _explained(
    ax: Axes, title: str, curves: Sequence[_Curve], labels: Sequence[str], note: str, *, marked: bool = False
) -> Axes:
    """Add the title and, for several curves, a legend; for one the title says it all."""
    from matplotlib.lines import Line2D

    counts = counted(curve.counts for curve in curves)
    if len(curves) == 1:
        name = f"{named(curves[0].key)}: " if curves[0].key else ""
        titled(ax, title, f"{name}{labels[0]}; {counts}", note)
        return ax
    titled(ax, title, counts, note)
    handles = [
        Line2D([], [], **curve.line, **(curve.mark if marked or curve.is_one_of_many else {})) for curve in curves
    ]
    between = "\n" if len(curves) <= _ROOMY else ": "
    legend_beside(ax, handles, [f"{named(c.key, 24)}{between}{label}" for c, label in zip(curves, labels, strict=True)])
    return ax


def _det_limits(rates: Sequence[float]) -> tuple[float, float]:
    """Return from which rate to which the axes go, so that the equal error rates lie well inside."""
    least = min((rate for rate in rates if rate > 0), default=1.0)
    most = max(rates)
    low = 1e-3 if least > 4e-3 else 1e-4  # noqa: PLR2004
    high = next((limit for limit, largest in ((0.6, 0.3), (0.99, 0.9)) if most <= largest), 0.999)
    return low, high


def _spaced(places: FloatArray, low: float, high: float) -> list[int]:
    """Return which of ascending places to label so that the labels do not touch."""
    chosen: list[int] = []
    for number, place in enumerate(places.tolist()):
        if low <= place <= high and (not chosen or place - places[chosen[-1]] > _APART * (high - low)):
            chosen.append(number)
    return chosen


def _covered(curve: _Curve, threshold: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return distances from the threshold, falling, and for each the share at least as far, and its errors."""
    scores = np.concatenate(curve.trials)
    wrong = np.repeat([True, False], curve.counts) != (scores >= threshold)
    distances = np.abs(scores - threshold)
    order = np.argsort(-distances, kind="stable")
    distances, errors = distances[order], np.cumsum(wrong[order])
    last = np.append(np.flatnonzero(np.diff(distances)), len(scores) - 1)  # of what is equally far
    return distances[last], (last + 1) / len(scores), errors[last] / (last + 1)
