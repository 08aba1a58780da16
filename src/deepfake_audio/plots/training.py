"""How a training run went."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deepfake_audio.errors import MetricError
from deepfake_audio.plots.drawing import (
    DEEPFAKE,
    GENUINE,
    counted,
    finite,
    grown,
    legend_beside,
    named,
    split,
    styled,
    titled,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes

# The prefix that Keras gives to figures of what is held out.
_HELD_OUT = "val_"
_LOOKS: dict[str, dict[str, Any]] = {
    "": {"color": GENUINE, "linestyle": "-"},
    _HELD_OUT: {"color": DEEPFAKE, "linestyle": (0, (4, 1.5))},
}
_WORDS = {"": "learnt from", _HELD_OUT: "held out"}
_LABELS = {"auc": "AUC"}
_PANEL_INCHES = 2.3
# With more epochs, marks at each would touch.
_MOST_MARKS = 40


@styled
def training_curves(
    ax: Axes,
    histories: Sequence[Mapping[str, Sequence[float]]],
    trials: tuple[int, int] | None = None,
    *,
    title: str = "Training",
) -> Axes:
    """
    Draw loss and metrics over the epochs, each in a panel of its own, on what was learnt from and on what was held out.

    The axis makes room for the other panels below it; a figure that has no other axis becomes as high as they need.

    Args:
        ax: Where to draw.
        histories: Of each part that was trained: a figure's value after each epoch by its name, such as ``loss``; the
            name begins with ``val_`` for what was held out. That is ``history`` in the facts of a run record.
        trials: How many bona fide and spoofed recordings there were.
        title: What stands above.

    Raises:
        MetricError: If there is no history, one has no epochs, or a value is not finite.
    """
    from matplotlib.lines import Line2D
    from matplotlib.ticker import MaxNLocator

    names = list(dict.fromkeys(name.removeprefix(_HELD_OUT) for history in histories for name in history))
    if not names:
        raise MetricError("there is no training history to draw")
    grown(ax, 0.8 + _PANEL_INCHES * len(names))
    panels = split(ax, [1.0] * len(names), 0.12)
    # What was held out is drawn last: it is what counts.
    for panel, name in zip(panels, names, strict=True):
        for prefix, look in _LOOKS.items():
            for values in (history[prefix + name] for history in histories if prefix + name in history):
                steps = finite(prefix + name, values)
                marker = "o" if len(steps) <= _MOST_MARKS else ""
                panel.plot(range(1, len(steps) + 1), steps, marker=marker, markersize=3.5, **look)
        panel.set_ylabel(_LABELS.get(name, named(name)))
        panel.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        panel.tick_params(labelbottom=panel is panels[-1])
    panels[-1].set_xlabel("epoch")
    most = max(len(values) for history in histories for values in history.values())
    for panel in panels:
        panel.set_xlim(0.5, most + 0.5)
    shown = [prefix for prefix in _LOOKS if any(name.startswith(prefix) for history in histories for name in history)]
    legend_beside(ax, [Line2D([], [], **_LOOKS[prefix]) for prefix in shown], [_WORDS[prefix] for prefix in shown])
    parts = f", {len(histories)} parts, a line each" if len(histories) > 1 else ""
    titled(ax, title, f"{most} epoch{'s' * (most > 1)}{parts}" + (f"; {counted([trials])}" if trials else ""))
    return ax
