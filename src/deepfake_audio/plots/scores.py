"""Where the scores lie, and whether the probabilities made of them can be believed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deepfake_audio.metrics import calibration_error
from deepfake_audio.metrics.trials import checked
from deepfake_audio.plots.drawing import (
    DEEPFAKE,
    GENUINE,
    QUIET,
    counted,
    finite,
    in_percent,
    legend_beside,
    named,
    percent_ticks,
    split,
    styled,
    titled,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt
    from matplotlib.axes import Axes

    from deepfake_audio.plots.drawing import FloatArray

_N_BINS = 60
# So much of either class, in percent, may lie beyond either end of what is shown.
_BEYOND = 0.1
# How each class looks: colours, hatching and outline, so that one of them is enough.
_LOOKS: tuple[tuple[str, str, str, str, Any], ...] = (
    ("genuine", GENUINE, "#CCE3F0", "////", "-"),
    ("deepfake", DEEPFAKE, "#F7DFCC", r"\\\\", (0, (4, 1.5))),
)
_THRESHOLDS: tuple[Any, ...] = ("-", (0, (6, 2)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5)))


@styled
def score_histogram(
    ax: Axes,
    bonafide: npt.ArrayLike,
    spoof: npt.ArrayLike,
    thresholds: Mapping[str, float] | None = None,
    margin: float = 0.0,
    *,
    title: str = "Scores",
) -> Axes:
    """
    Draw how the scores of either class are distributed, each class adding up to 100 %.

    Args:
        ax: Where to draw.
        bonafide: Natural log-likelihood ratios of the bona fide trials, shape (n_bonafide,).
        spoof: The same of spoofed trials, shape (n_spoof,).
        thresholds: By their names; they are drawn.
        margin: So far to both sides of the first threshold verdicts are inconclusive; that zone is shaded.
        title: What stands above.

    Raises:
        MetricError: If a class is empty, or anything is not finite.
    """
    b, s = checked("bona fide", bonafide), checked("spoofed", spoof)
    places = finite("thresholds", [*(thresholds or {}).values(), margin])[:-1].tolist()
    edges = _edges(b, s, [place + side for place in places for side in (-margin, margin)])
    shown = _histogram(ax, edges, [(b, 1 / len(b)), (s, 1 / len(s))])
    names = [name for name, *_ in _LOOKS]
    if margin > 0 and places:
        zone = ax.axvspan(places[0] - margin, places[0] + margin, color="#000000", alpha=0.12, linewidth=0, zorder=0.5)
        shown.append(zone)
        names.append(f"inconclusive: ±{margin:.2f}")
    for number, (name, place) in enumerate(zip(thresholds or {}, places, strict=True)):
        dashes = _THRESHOLDS[number % len(_THRESHOLDS)]
        shown.append(ax.axvline(place, color="black", linewidth=1.3, linestyle=dashes))
        names.append(f"{named(name)}: {place:.2f}")
    ax.set(xlim=(edges[0], edges[-1]), xlabel="score: natural log-likelihood ratio, higher = more genuine")
    ax.set(ylabel=f"share of the class in a bin of {edges[1] - edges[0]:.2g}, %")
    outside = np.count_nonzero((b < edges[0]) | (b > edges[-1])) + np.count_nonzero((s < edges[0]) | (s > edges[-1]))
    note = f"{outside:,} beyond the edges counted in the outermost bins" if outside else ""
    titled(ax, title, counted([(len(b), len(s))]), note)
    legend_beside(ax, shown, names)
    return ax


@styled
def reliability(
    ax: Axes, p_spoof: npt.ArrayLike, is_spoof: npt.ArrayLike, *, n_bins: int = 10, title: str = "Reliability"
) -> Axes:
    """
    Draw how often it was a deepfake over how probable that was said to be, and below how often that was said.

    Both classes weigh one half, as in ``metrics.calibration_error``, whose bins these are. The axis makes room for a
    second one below it.

    Args:
        ax: Where to draw.
        p_spoof: Probabilities of a deepfake, for a prior of one half, shape (n,).
        is_spoof: The truth, shape (n,).
        n_bins: How many bins of equal width.
        title: What stands above.

    Raises:
        MetricError: If a class is missing, a probability lies outside [0, 1], or the two differ in length.
    """
    error = calibration_error(p_spoof, is_spoof, n_bins=n_bins)
    p, truth = np.asarray(p_spoof, dtype=np.float64), np.asarray(is_spoof, dtype=bool)
    counts = np.array([(~truth).sum(), truth.sum()])
    weights = 0.5 / counts[truth.astype(int)]
    bins = np.minimum((p * n_bins).astype(int), n_bins - 1)
    inside, said, was = (np.bincount(bins, weights * value, n_bins) for value in (1.0, p, truth))
    used = inside > 0
    ax, below = split(ax, (3, 1), 0.2)
    ax.plot([0, 1], [0, 1], color=QUIET, linewidth=0.8, linestyle=":")
    ax.plot(said[used] / inside[used], was[used] / inside[used], "o-", color="black", markersize=6, clip_on=False)
    in_percent(ax, "", "it was a deepfake, %")
    ax.set(xlim=(0, 1))
    ax.tick_params(labelbottom=False)
    edges = np.linspace(0, 1, n_bins + 1)
    shown = _histogram(below, edges, [(p[~truth], 1 / counts[0]), (p[truth], 1 / counts[1])])
    below.set(xlim=(0, 1), xlabel="probability of a deepfake that was given, %", ylabel="share of\nthe class, %")
    percent_ticks(below.xaxis)
    legend_beside(below, shown, [name for name, *_ in _LOOKS])
    titled(
        ax,
        title,
        f"expected calibration error {error:.3f}; {counted([(int(counts[0]), int(counts[1]))])}",
        "both classes weigh one half; on the dotted line probabilities are what they say",
    )
    return ax


def _histogram(ax: Axes, edges: FloatArray, classes: Sequence[tuple[FloatArray, float]]) -> list[Any]:
    """Draw the scores of both classes, each of a weight; return what a legend shows."""
    from matplotlib.patches import Patch

    shown = []
    for (scores, weight), (_, colour, pale, hatch, line) in zip(classes, _LOOKS, strict=True):
        shares = np.histogram(np.clip(scores, edges[0], edges[-1]), edges)[0] * weight
        # Apart from the hatching: in an SVG one pattern of both would be as transparent, or hidden.
        ax.stairs(shares, edges, fill=True, color=pale, alpha=0.5, linewidth=0)
        ax.stairs(shares, edges, fill=True, facecolor="none", edgecolor=colour, hatch=hatch, linewidth=0)
        ax.stairs(shares, edges, color=colour, linewidth=1.6, linestyle=line, zorder=2)
        shown.append(Patch(facecolor=pale, edgecolor=colour, hatch=hatch, linestyle=line))
    percent_ticks(ax.yaxis)
    ax.set_ylim(0, None)
    return shown


def _edges(b: FloatArray, s: FloatArray, places: Sequence[float]) -> FloatArray:
    """Return edges of bins over nearly all scores, and over what else must be seen."""
    ends = np.concatenate([*(np.percentile(scores, [_BEYOND, 100 - _BEYOND]) for scores in (b, s)), places])
    low, high = float(ends.min()), float(ends.max())
    # Half a unit around where all scores are the same; and nothing stands on the very edge.
    room = max(0.02 * (high - low), 0.5 if high - low < 1e-6 else 0.0)  # noqa: PLR2004
    return np.linspace(low - room, high + room, _N_BINS + 1)
