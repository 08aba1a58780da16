"""Error rates side by side: per class, per system, per condition, and of two models."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from deepfake_audio.errors import MetricError
from deepfake_audio.plots.drawing import (
    DEEPFAKE,
    GENUINE,
    QUIET,
    counted,
    finite,
    grown,
    named,
    percent,
    percent_ticks,
    styled,
    titled,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt
    from matplotlib.axes import Axes

    from deepfake_audio.metrics import Difference
    from deepfake_audio.plots.drawing import FloatArray

_ROW_INCHES = 0.27
# Text is white in cells that are darker than this.
_DARK = 0.7
# Rates from this one on have the darkest cells, if no higher one is there.
_DARKEST = 0.1
# Below this rate, or difference of rates, percentages have a place more.
_COARSE = 0.05


@styled
def confusion_matrix(
    ax: Axes,
    counts: npt.ArrayLike,
    called: Sequence[str] = ("genuine", "deepfake"),
    *,
    threshold: float | None = None,
    title: str = "Confusion matrix",
) -> Axes:
    """
    Draw what genuine and deepfake trials were called: counts, and percent of the row.

    Args:
        ax: Where to draw.
        counts: Two rows, of bona fide and of spoofed trials; a column for each of ``called``.
        called: What they were called, such as a third ``"inconclusive"``.
        threshold: From which score on they were called genuine; it is told.
        title: What stands above.

    Raises:
        MetricError: If the counts have another shape, are no whole numbers from 0 on, or a class is empty.
    """
    table = finite("counts", counts, (2, len(called)))
    totals = table.sum(axis=1).astype(int).tolist()
    if (table < 0).any() or (table % 1).any() or not all(totals):
        raise MetricError("counts must be whole numbers from 0 on, with trials of either class")
    shares = table / table.sum(axis=1, keepdims=True)
    pairs = zip(table.ravel(), shares.ravel(), strict=True)
    texts = np.array([f"{int(n):,}\n{percent(share)}" for n, share in pairs]).reshape(table.shape)
    _cells(ax, shares, texts.tolist(), 11)
    ax.set_xticks(range(len(called)), [f"called\n{named(name)}" for name in called])
    ax.set_yticks(range(2), [f"{name}\n({n:,})" for name, n in zip(("genuine", "deepfake"), totals, strict=True)])
    ax.set_ylabel("truth")
    at = "" if threshold is None else f", decided at {threshold:.3f}"
    titled(ax, title, f"{counted([(totals[0], totals[1])])}{at}; percent of each row")
    return ax


@styled
def bars(
    ax: Axes,
    names: Sequence[str],
    values: npt.ArrayLike,
    intervals: Sequence[tuple[float, float] | None] | None = None,
    trials: Sequence[tuple[int, int]] | None = None,
    *,
    label: str = "equal error rate",
    limit: int = 40,
    title: str = "Per system",
) -> Axes:
    """
    Draw a rate of each system or source as a bar, the highest on top, with its interval and numbers of trials.

    A figure that has no other axis becomes as high as the bars need.

    Args:
        ax: Where to draw.
        names: Shape (n,).
        values: Rates in [0, 1], shape (n,).
        intervals: Lower and upper end of each rate's interval, or None for one that has none.
        trials: How many bona fide and spoofed trials each rate is of.
        label: What the rate is.
        limit: The most bars; of more, those with the highest rates are drawn, and it is told.
        title: What stands above.

    Raises:
        MetricError: If there is no rate, anything is not finite, or lengths differ.
    """
    rates = finite("rates", values)
    bounds = intervals or [None] * len(rates)
    if {len(names), len(bounds), len(trials or names)} != {len(rates)}:
        raise MetricError(f"{len(rates)} rates need as many names, intervals and pairs of counts")
    order = np.argsort(-rates, kind="stable")[:limit].tolist()
    grown(ax, 1.1 + _ROW_INCHES * len(order))
    ax.barh(range(len(order)), rates[order], height=0.7, color="#B3D1E6", edgecolor=GENUINE, linewidth=0.8)
    places = 1 if rates.max() >= _COARSE else 2
    right = 0.0
    for row, i in enumerate(order):
        ends = finite("intervals", bounds[i] or (rates[i], rates[i]), (2,))
        if bounds[i]:
            ax.plot(ends, [row, row], "|-", color="black", linewidth=1.2, markersize=6)
        end = float(max(rates[i], ends[1]))
        ax.annotate(
            percent(rates[i], places), (end, row), (5, 0), textcoords="offset points", va="center", fontsize=8.5
        )
        right = max(right, end)
    shared = trials is not None and len({b for b, _ in trials}) == 1
    ax.set_yticks(range(len(order)), [_bar_name(names[i], trials[i] if trials else None, shared=shared) for i in order])
    ax.grid(visible=False, axis="y")
    percent_ticks(ax.xaxis)
    ax.set(xlabel=f"{named(label, 60)}, %", xlim=(0, max(1.12 * right, 0.01)), ylim=(len(order) - 0.4, -0.6))
    notes = [f"the {len(order)} highest of {len(rates)}"] if len(order) < len(rates) else []
    if any(bounds):
        notes.append("lines: intervals")
    if trials:
        notes.append("in brackets: " + ("deepfake trials" if shared else "genuine / deepfake trials"))
    titled(ax, title, counted(trials[i] for i in order) if trials else "", "; ".join(notes))
    return ax


def _bar_name(name: str, trials: tuple[int, int] | None, *, shared: bool) -> str:
    if trials is None:
        return named(name)
    return f"{named(name)} ({trials[1]:,})" if shared else f"{named(name)} ({trials[0]:,} / {trials[1]:,})"


@styled
def stress_heat_map(
    ax: Axes,
    rows: Mapping[str, tuple[float, float, float]],
    trials: tuple[int, int] | None = None,
    *,
    title: str = "Under stress",
) -> Axes:
    """
    Draw error rates under each condition, and their change against the first one, as shaded cells with numbers.

    A figure that has no other axis becomes as high as the rows need.

    Args:
        ax: Where to draw.
        rows: By condition: equal error rate, and FRR and FAR at the fixed threshold, in [0, 1]. The first condition is
            the clean one.
        trials: How many bona fide and spoofed trials each row is of.
        title: What stands above.

    Raises:
        MetricError: If there is no condition, or a rate is not finite.
    """
    rates = finite("rates", list(rows.values()), (None, 3))
    changes = rates - rates[0]
    table = np.stack([rates, changes], axis=2).reshape(len(rates), 6)
    texts = [[f"{100 * value:{'+.1f' if i % 2 else '.1f'}}" for i, value in enumerate(row)] for row in table]
    texts[0][1::2] = ["", "", ""]
    grown(ax, 1.6 + _ROW_INCHES * len(rates))
    _cells(ax, np.clip(table / max(table.max(), _DARKEST), 0, 1), texts, 9)
    ax.xaxis.tick_top()
    ax.set_xticks(
        range(6),
        [word for figure in ("EER", "FRR", "FAR") for word in (f"{figure}\n%", "change\npoints")],
    )
    ax.set_yticks(range(len(rates)), [named(name) for name in rows])
    ax.axhline(0.5, color="black", linewidth=1)
    for place in (1.5, 3.5):
        ax.axvline(place, color="black", linewidth=1)
    titled(
        ax,
        title,
        counted([trials]) if trials else "",
        "FRR: genuine called deepfake, FAR: deepfake called genuine, both at the fixed threshold",
        f"change: percentage points more than {named(next(iter(rows)))}",
        room=26,
    )
    return ax


@styled
def difference(
    ax: Axes,
    differences: Mapping[str, Difference],
    models: tuple[str, str] = ("A", "B"),
    trials: tuple[int, int] | None = None,
    *,
    in_points: bool = True,
    lower_is_better: bool = True,
    title: str = "Two models compared",
) -> Axes:
    """
    Draw how figures of one model differ from those of another on the same trials, with paired intervals.

    Filled marks are differences whose interval leaves 0 out. A figure that has no other axis becomes as high as the
    rows need.

    Args:
        ax: Where to draw.
        differences: The second model's figure minus the first one's, by the name of the figure or of the source, all in
            one unit, as ``metrics.paired_bootstrap`` gives them.
        models: Their names.
        trials: How many bona fide and spoofed trials they are of.
        in_points: Whether the figures are rates, which are drawn in percentage points; else as they are.
        lower_is_better: Whether the figures are errors.
        title: What stands above.

    Raises:
        MetricError: If there is no difference, or one is not finite.
    """
    values = finite("differences", [(d.value, d.low, d.high) for d in differences.values()], (None, 3))
    values = values * (100 if in_points else 1)
    grown(ax, 1.3 + 1.2 * _ROW_INCHES * len(values))
    places = 3
    if in_points:
        places = 1 if np.abs(values).max() >= 100 * _COARSE else 2
    for row, (value, low, high) in enumerate(values.tolist()):
        colour = QUIET
        if low > 0 or high < 0:
            colour = GENUINE if (value < 0) == lower_is_better else DEEPFAKE
        fill = "white" if colour == QUIET else colour
        ax.plot([low, high], [row, row], "|-", color=colour, linewidth=1.8, markersize=7)
        ax.plot([value], [row], "o", color=colour, markerfacecolor=fill, markersize=7)
        ax.annotate(
            f"{value:+.{places}f} [{low:+.{places}f}, {high:+.{places}f}]",
            (1, row),
            (6, 0),
            ("axes fraction", "data"),
            "offset points",
            va="center",
            fontsize=8.5,
        )
    ax.axvline(0, color="black", linewidth=1)
    ax.set_yticks(range(len(values)), [named(name) for name in differences])
    ax.grid(visible=False, axis="y")
    reach = 1.1 * max(float(np.abs(values).max()), 10.0**-places)
    ax.set(xlim=(-reach, reach), ylim=(len(values) - 0.4, -0.6))
    a, b = (named(name, 24) for name in models)
    better = "left" if lower_is_better else "right"
    ax.set_xlabel(f"{b} minus {a}{', percentage points' if in_points else ''} ({better}: {b} is better)")
    titled(ax, title, counted([trials]) if trials else "", "lines: paired intervals; filled: the interval leaves out 0")
    return ax


def _cells(ax: Axes, darkness: FloatArray, texts: Sequence[Sequence[str]], fontsize: float) -> None:
    """Draw a table of shaded cells, from 0 for white to 1, with text in them; the first row is on top."""
    n_rows, n_columns = darkness.shape
    ax.pcolormesh(
        np.arange(n_columns + 1) - 0.5,
        np.arange(n_rows + 1) - 0.5,
        darkness,
        cmap="Blues",
        vmin=0,
        vmax=1,
        edgecolors="white",
        linewidth=1,
    )
    for (row, column), shade in np.ndenumerate(darkness):
        colour = "white" if shade > _DARK else "black"
        ax.text(column, row, texts[row][column], ha="center", va="center", color=colour, fontsize=fontsize)
    ax.set(xlim=(-0.5, n_columns - 0.5), ylim=(n_rows - 0.5, -0.5))
    ax.grid(visible=False)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
