"""
Pictures of one recording over its time, to be drawn one below the other.

All horizontal axes are seconds of the source. However long a recording is, a picture of it has at most ``COLUMNS``
columns: each shows the largest and the smallest value of its time, so that nothing short is lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deepfake_audio.calibration import p_deepfake as probability
from deepfake_audio.errors import MetricError
from deepfake_audio.plots.drawing import (
    DEEPFAKE,
    DPI,
    GENUINE,
    QUIET,
    finite,
    legend_beside,
    percent,
    percent_ticks,
    styled,
    titled,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from deepfake_audio.explanation import Explanation
    from deepfake_audio.plots.drawing import FloatArray

COLUMNS = 800
# Frequencies above this are not drawn: the models hear nothing there.
TOP_HZ = 8_000.0

# What is shown of a spectrogram, from the loudest down, in how many shades of grey; none is so dark that lines on it
# cannot be seen.
_RANGE_DB, _SHADES, _DARKEST = 70.0, 32, 0.30
_FRAME_SECONDS = 0.032
# Cells that move the score by less than this part of the strongest, or less than so much, are not drawn.
_LEAST_SHARE, _LEAST_CHANGE = 1 / 3, 0.02
_STRONG_SHARE = 2 / 3
# Cells narrower than this part of the axis are not drawn: their hatching could not be seen.
_LEAST_WIDTH = 0.008
# What is explained of a recording is named if it is so much shorter.
_PART_SECONDS = 1.0
# What speaks for a class: its colours, hatching (strong and weak) and outline, so that one of them is enough.
_SPEAKS: dict[str, tuple[str, tuple[str, str], Any]] = {
    "deepfake": (DEEPFAKE, (r"\\\\\\", r"\\\\"), (0, (4, 1.2))),
    "genuine": (GENUINE, ("//////", "////"), "-"),
}
_REGION: dict[str, Any] = {"facecolor": "#F7DFCC", "edgecolor": DEEPFAKE, "hatch": r"\\\\", "linestyle": (0, (4, 1.2))}
# With more windows, marks would touch.
_MOST_MARKS = 120
_OVERLAP_SECONDS = 0.01
# Levels below this are as good as nothing.
_LOWEST_DB, _NOTHING_DB = -100.0, -200.0
# Figures of several panels: how high each is, and what is between two, in inches.
_PANEL_INCHES, _GAP_INCHES = 1.5, 0.12


@styled
def waveform(
    ax: Axes,
    signal: npt.ArrayLike,
    sample_rate: float,
    regions: Sequence[tuple[float, float]] = (),
    *,
    part: tuple[float, float] | None = None,
    title: str = "Waveform",
) -> Axes:
    """
    Draw a signal, and shade regions of it.

    Args:
        ax: Where to draw.
        signal: Shape (n_samples,), full scale at +-1.
        sample_rate: In Hz.
        regions: Start and end in seconds of what looks synthetic.
        part: Start and end in seconds of what is drawn; by default all.
        title: What stands above.

    Raises:
        MetricError: If the signal is empty or not finite, or a region does not end after its start.
    """
    samples, start, end = _checked(signal, sample_rate, part)
    low, high = _extremes(samples)
    peak = float(max(-low.min(), high.max()))
    if len(samples) > len(low):
        edges = np.linspace(start, end, len(low) + 1)
        middles = (edges[1:] + edges[:-1]) / 2
        ax.fill_between(middles, low, high, color="black", linewidth=0.5, zorder=2)
    else:
        ax.plot(start + (np.arange(len(samples)) + 0.5) / sample_rate, samples, color="black", linewidth=0.8)
    room = 1.25 if len(regions) else 1.08  # so that hatching shows where it is loud
    ax.set(ylabel="amplitude", ylim=(-room * (peak or 1), room * (peak or 1)))
    _shade(ax, regions)
    titled(ax, title, "; ".join([_level(peak), *_told(regions)]))
    return _over_time(ax, start, end)


@styled
def spectrogram(
    ax: Axes,
    signal: npt.ArrayLike,
    sample_rate: float,
    explanation: Explanation | None = None,
    *,
    part: tuple[float, float] | None = None,
    title: str = "Spectrogram",
) -> Axes:
    """
    Draw the spectrum over time up to 8 kHz, and over it what moved the score.

    Args:
        ax: Where to draw.
        signal: Shape (n_samples,).
        sample_rate: In Hz.
        explanation: What ``explanation.explain`` found; its cells are outlined and hatched. Where they would be too
            narrow, only the part that it explains is marked: draw that ``part`` alone.
        part: Start and end in seconds of what is drawn; by default all.
        title: What stands above.

    Raises:
        MetricError: If the signal is empty or not finite.
    """
    from matplotlib.colors import ListedColormap

    samples, start, end = _checked(signal, sample_rate, part)
    levels, top = _spectrum(samples, sample_rate)
    shades = ListedColormap([(shade,) * 3 for shade in np.linspace(1, _DARKEST, _SHADES)])
    loudest = max(float(levels.max()), _NOTHING_DB + _RANGE_DB)
    ax.imshow(
        levels,
        cmap=shades,
        vmin=loudest - _RANGE_DB,
        vmax=loudest,
        extent=(start, end, 0, top / 1000),
        origin="lower",
        aspect="auto",
        interpolation="none",  # an SVG then holds these pixels, and no more
    )
    ax.set(ylabel="kHz", ylim=(0, top / 1000))
    ax.grid(visible=False)
    told = [] if explanation is None else _explain(ax, explanation, end - start)
    titled(ax, title, f"white: {_RANGE_DB:.0f} dB and more below the loudest", *told)
    return _over_time(ax, start, end)


@styled
def score_timeline(
    ax: Axes,
    times: npt.ArrayLike,
    p_deepfake: npt.ArrayLike,
    threshold: float = 0.0,
    margin: float = 0.0,
    regions: Sequence[tuple[float, float]] = (),
    *,
    title: str = "Scores of windows",
) -> Axes:
    """
    Draw how probable a deepfake is in each window.

    Args:
        ax: Where to draw.
        times: Of each window the middle, shape (n,), or start and end, shape (n, 2), in seconds and in order.
        p_deepfake: In [0, 1], shape (n,).
        threshold: The log-likelihood ratio below which the verdict is ``deepfake``.
        margin: Verdicts so close to the threshold are inconclusive.
        regions: Start and end in seconds of what looks synthetic.
        title: What stands above.

    Raises:
        MetricError: If there are no windows, their numbers differ, or a probability lies outside [0, 1].
    """
    spans = finite("times", times, (None, 2) if np.ndim(times) == 2 else (None,))  # noqa: PLR2004
    spans = spans if spans.ndim > 1 else np.stack([spans, spans], axis=1)
    p = finite("probabilities", p_deepfake, (len(spans),))
    if p.min() < 0 or p.max() > 1:
        raise MetricError("probabilities must lie between 0 and 1")
    upper, edge, lower = (probability(threshold + side) for side in (-margin, 0, margin))
    shown: list[Any] = [ax.axhline(edge, color=QUIET, linewidth=1.2, linestyle=(0, (6, 2)))]
    names = [f"threshold: {percent(edge)}"]
    if margin > 0:
        shown.append(ax.axhspan(lower, upper, color="#000000", alpha=0.12, linewidth=0, zorder=0.5))
        names.append("inconclusive")
    note = ""
    if len(p) <= _MOST_MARKS:
        _window_marks(ax, spans, p, (lower, upper))
    else:
        note = _trace(ax, spans.mean(axis=1), p)
    ax.set(ylabel="P(deepfake), %", ylim=(-0.04, 1.04))
    percent_ticks(ax.yaxis)
    patches = _shade(ax, regions)
    legend_beside(ax, [*shown, *patches], [*names, *["looks synthetic"] * len(patches)])
    titled(
        ax,
        title,
        f"{_counted(len(p), 'window')}, {(p > upper).sum():,} on the side of deepfake; each alone is an indication",
        note,
    )
    return _over_time(ax, 0.0, float(spans.max()))


@styled
def pitch_track(ax: Axes, times: npt.ArrayLike, hz: npt.ArrayLike, *, title: str = "Pitch") -> Axes:
    """
    Draw the pitch of a voice.

    Args:
        ax: Where to draw.
        times: In seconds and in order, shape (n,).
        hz: Pitch; NaN where there is no voice, shape (n,).
        title: What stands above.

    Raises:
        MetricError: If the two are empty or differ in length, or a pitch is not above 0.
    """
    t, pitch = _track(times, hz)
    heard = pitch[~np.isnan(pitch)]
    if len(heard) and not 0 < heard.min() <= heard.max() < np.inf:
        raise MetricError("a pitch must be above 0 Hz, or NaN where there is no voice")
    note = "no voice was found"
    if len(heard):
        low, middle, high = np.percentile(heard, (5, 50, 95))
        note = f"median {middle:.0f} Hz; nine tenths between {low:.0f} and {high:.0f} Hz"
    # Errors of an octave are common, and would fill a picture of an hour.
    pooled = _trace(ax, t, pitch, reach=0.9)
    ax.set(ylabel="Hz")
    titled(ax, title, note, pooled)
    return _over_time(ax, 0.0, float(t[-1]))


@styled
def level_track(ax: Axes, times: npt.ArrayLike, level_db: npt.ArrayLike, *, title: str = "Level") -> Axes:
    """
    Draw how loud a recording is.

    Args:
        ax: Where to draw.
        times: In seconds and in order, shape (n,).
        level_db: In decibels relative to full scale, shape (n,).
        title: What stands above.

    Raises:
        MetricError: If the two are empty, differ in length, or are not finite.
    """
    from matplotlib.ticker import MaxNLocator

    t, level = _track(times, finite("levels", level_db))
    shown = np.maximum(level, _LOWEST_DB)
    pooled = _trace(ax, t, shown)
    ax.set(ylabel="dBFS", ylim=(min(shown.min() - 4, shown.max() - 12), shown.max() + 4))
    ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    silent = float((level <= _LOWEST_DB).mean())
    notes = [f"at most {shown.max():.0f} dBFS"] * (silent < 1)
    notes += [f"{percent(silent)} of the time no more than {_LOWEST_DB:.0f} dBFS"] * (silent > 0)
    titled(ax, title, "; ".join(notes), pooled)
    return _over_time(ax, 0.0, float(t[-1]))


@styled
def recording_figure(
    panels: Sequence[Callable[[Axes], object]],
    *,
    heights: Sequence[float] | None = None,
    width: float = 7.0,
    part: tuple[float, float] | None = None,
) -> Figure:
    """
    Return a figure of several pictures of one recording, one below the other, over the same time.

    Args:
        panels: What draws on the axis that it is given, such as ``lambda ax: waveform(ax, signal, sample_rate)``, from
            the top.
        heights: Of each panel, in inches.
        width: Of the panels, in inches; legends come to stand beside.
        part: Start and end in seconds of what all show; by default all that is drawn.

    Raises:
        MetricError: If there are no panels.

    Examples:
        >>> figure = recording_figure([lambda ax: waveform(ax, [0.0, 0.5, -0.5, 0.0], 4)])
        >>> len(figure.axes)
        1
    """
    from matplotlib.figure import Figure

    if not panels:
        raise MetricError("there is nothing to draw")
    inches = list(heights or [_PANEL_INCHES] * len(panels))
    figure = Figure(figsize=(width, 1.0), dpi=DPI)
    axes = [figure.add_axes((0, 0, 1, height)) for height in inches]
    for draw, ax in zip(panels, axes, strict=True):
        draw(ax)
    start, end = part or (min(ax.get_xlim()[0] for ax in axes), max(ax.get_xlim()[1] for ax in axes))
    for ax in axes:
        _over_time(ax, start, end)
    for ax in axes[:-1]:
        ax.set_xlabel("")
        ax.tick_params(labelbottom=False)
    _stack(figure, axes)
    return figure


def _stack(figure: Figure, axes: Sequence[Axes]) -> None:
    """Place axes of a figure that is one inch high one below the other, with room for what is written around each."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    renderer = FigureCanvasAgg(figure).get_renderer()
    # Labels stand below each other too, left of the widest numbers.
    lefts = [(ax.yaxis.get_tightbbox(renderer) or ax.bbox).x0 for ax in axes]
    for ax, left in zip(axes, lefts, strict=True):
        ax.yaxis.labelpad += (left - min(lefts)) * 72 / DPI
    places, y = [], 0.0
    for ax in reversed(axes):
        inside = ax.get_window_extent(renderer)
        outside = ax.get_tightbbox(renderer) or inside
        y += (inside.y0 - outside.y0) / DPI
        places.append((y, inside.height / DPI))
        y += (outside.y1 - inside.y0) / DPI + _GAP_INCHES
    figure.set_figheight(y)
    for ax, (bottom, height) in zip(reversed(axes), places, strict=True):
        ax.set_position((0, bottom / y, 1, height / y))


# --- time ------------------------------------------------------------------------------------------------------


def _over_time(ax: Axes, start: float, end: float) -> Axes:
    """Let an axis go from one second to another; long times are in minutes and hours."""
    from matplotlib.ticker import AutoLocator, MultipleLocator

    ax.set(xlim=(start, end))
    if end <= _SHORT_SECONDS:
        ax.xaxis.set_major_locator(AutoLocator())
        ax.xaxis.set_major_formatter(lambda seconds, _: f"{round(seconds, 6):g}")
        ax.set_xlabel("time, s")
        return ax
    step = next((step for step in _STEPS if (end - start) / step <= _MOST_TICKS), None)
    ax.xaxis.set_major_locator(MultipleLocator(step or 3600 * np.ceil((end - start) / 3600 / _MOST_TICKS)))
    ax.xaxis.set_major_formatter(lambda seconds, _: clock(seconds, hours=end >= 3600))  # noqa: PLR2004
    ax.set_xlabel("time, h:mm:ss" if end >= 3600 else "time, min:s")  # noqa: PLR2004
    return ax


_SHORT_SECONDS = 120.0
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
_MOST_TICKS = 10


def clock(seconds: float, *, hours: bool = False) -> str:
    """
    Return a time as people read it.

    Examples:
        >>> clock(75), clock(3675, hours=True)
        ('1:15', '1:01:15')
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _shade(ax: Axes, regions: Sequence[tuple[float, float]]) -> list[Any]:
    """Shade regions; return what a legend shows of them, if there are any."""
    spans = finite("regions", regions, (None, 2)) if len(regions) else np.empty((0, 2))
    if (spans[:, 1] <= spans[:, 0]).any():
        raise MetricError("a region must end after its start")
    patches = [ax.axvspan(start, end, **_REGION, linewidth=1.0, zorder=0.4) for start, end in spans.tolist()]
    return patches[:1]


def _told(regions: Sequence[tuple[float, float]]) -> list[str]:
    """Return what to say of regions, if there are any."""
    if not len(regions):
        return []
    seconds = sum(end - start for start, end in regions)
    return [f"hatched, looks synthetic: {_counted(len(regions), 'region')}, {seconds:.1f} s in all"]


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


# --- signals ---------------------------------------------------------------------------------------------------


def _checked(
    signal: npt.ArrayLike, sample_rate: float, part: tuple[float, float] | None
) -> tuple[npt.NDArray[Any], float, float]:
    """Return the part of a signal that is drawn, not copied since it may be long, and the seconds of its ends."""
    samples = np.asarray(signal)
    if samples.ndim != 1:
        raise MetricError(f"a signal to draw must have the shape n, not {' x '.join(map(str, samples.shape))}")
    if not sample_rate > 0:
        raise MetricError(f"a sample rate must be above 0 Hz, not {sample_rate}")
    first, last = (0, len(samples)) if part is None else (max(0, round(edge * sample_rate)) for edge in part)
    samples = samples[first:last]
    if not len(samples):
        raise MetricError("there is no signal to draw")
    if not np.isfinite((samples.min(), samples.max())).all():
        raise MetricError("a signal to draw holds NaN or infinity")
    return samples, first / sample_rate, (first + len(samples)) / sample_rate


def _extremes(samples: npt.NDArray[Any]) -> tuple[FloatArray, FloatArray]:
    """Return the smallest and the largest sample in each column."""
    first = np.arange(min(COLUMNS, len(samples))) * len(samples) // min(COLUMNS, len(samples))
    low, high = (extreme.reduceat(samples, first) for extreme in (np.minimum, np.maximum))
    return low.astype(np.float64), high.astype(np.float64)


def _level(peak: float) -> str:
    return f"peak {20 * np.log10(peak):.1f} dBFS" if peak else "digital silence"


def _spectrum(samples: npt.NDArray[Any], sample_rate: float) -> tuple[FloatArray, float]:
    """
    Return levels in dB, shape (n_frequencies, n_columns), and up to which frequency in Hz they go.

    A column of more than one frame has the largest level of them all.
    """
    length = 2 ** max(3, round(np.log2(_FRAME_SECONDS * sample_rate)))
    n_rows = min(length // 2 + 1, int(TOP_HZ * length / sample_rate) + 1)
    n_columns = min(COLUMNS, max(1, 8 * len(samples) // length))
    per_column = -(-2 * len(samples) // (n_columns * length))  # frames that overlap by a half miss nothing
    window = np.hanning(length + 1)[:-1]
    levels = np.empty((n_rows, n_columns))
    for column in range(n_columns):
        middles = (column + (np.arange(per_column) + 0.5) / per_column) * len(samples) / n_columns
        first = middles.astype(int) - length // 2
        places = np.clip(first[:, np.newaxis] + np.arange(length), 0, len(samples) - 1)
        levels[:, column] = np.abs(np.fft.rfft(samples[places] * window)[:, :n_rows]).max(axis=0)
    levels = 20 * np.log10(levels / window.sum() * 2 + 10 ** (_NOTHING_DB / 20))
    return levels, min(sample_rate / 2, TOP_HZ)


# --- explanations ----------------------------------------------------------------------------------------------


def _explain(ax: Axes, explanation: Explanation, seconds: float) -> list[str]:
    """Outline and hatch the cells that moved the score; return what to say of them."""
    from matplotlib.patches import Patch, Rectangle

    change = np.asarray(explanation.change)
    strongest = float(np.abs(change).max())
    begin, end = float(explanation.starts[0]), float(explanation.ends[-1])
    scores = (
        f"log-likelihood ratio {explanation.llr:.2f}; of noise with this spectrogram {explanation.llr_of_noise:.2f}"
    )
    notes = [scores + f"; explained: {clock(begin)} to {clock(end)}" * (end - begin < seconds - _PART_SECONDS)]
    if strongest < _LEAST_CHANGE:
        return [*notes, f"no region moves it by {_LEAST_CHANGE} or more"]
    if (end - begin) / change.shape[1] < _LEAST_WIDTH * seconds:
        mark = ax.axvspan(begin, end, fill=False, edgecolor="black", linewidth=1.5, zorder=3)
        legend_beside(ax, [mark], ["explained"])
        return [*notes, "the regions that moved it are too narrow to be drawn here"]
    looks, largest = {}, []
    for kind, sign in (("deepfake", -1), ("genuine", 1)):
        colour, (dense, sparse), line = _SPEAKS[kind]
        look = {"fill": False, "edgecolor": colour, "linewidth": 1.3, "linestyle": line, "zorder": 3}
        for band, time in np.argwhere(sign * change >= max(_LEAST_SHARE * strongest, _LEAST_CHANGE)):
            hatch = dense if sign * change[band, time] >= _STRONG_SHARE * strongest else sparse
            for place in _pieces(explanation, band, time):
                ax.add_patch(Rectangle(*place, fill=False, edgecolor="white", linewidth=2.6, zorder=2))
                ax.add_patch(Rectangle(*place, hatch=hatch, **look))
            looks[f"speaks for {kind}"] = Patch(hatch=dense, **look)
        largest += [f"{np.max(sign * change):.2f} for {kind}"] * bool((sign * change > 0).any())
    legend_beside(ax, list(looks.values()), list(looks))
    return [*notes, f"strongest: {', '.join(largest)}; dense: two thirds of that or more"]


def _pieces(explanation: Explanation, band: int, time: int) -> list[tuple[tuple[float, float], float, float]]:
    """Return where a cell is, as corner, width and height of rectangles: it is not in pauses."""
    low, high = np.asarray(explanation.edges_hz)[band : band + 2] / 1000
    starts = np.maximum(explanation.speech[:, 0], explanation.starts[time])
    ends = np.minimum(explanation.speech[:, 1], explanation.ends[time])
    return [((start, low), end - start, high - low) for start, end in zip(starts, ends, strict=True) if start < end]


# --- tracks ----------------------------------------------------------------------------------------------------


def _track(times: npt.ArrayLike, values: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    t, v = finite("times", times), np.asarray(values, dtype=np.float64)
    if v.shape != t.shape:
        raise MetricError(f"there are {len(t):,} times and values of the shape {v.shape}")
    if (np.diff(t) < 0).any():
        raise MetricError("times must be in order")
    return t, v


def _trace(ax: Axes, times: FloatArray, values: FloatArray, reach: float = 1.0) -> str:
    """
    Draw a line, broken where values are NaN.

    Of many values the medians of columns are drawn, and how far this part of each column reaches; returned is what to
    say of that.
    """
    note = ""
    if len(times) > 2 * COLUMNS:
        times, low, values, high = _pooled(times, values, reach)
        ax.fill_between(times, low, high, color=GENUINE, alpha=0.35, linewidth=0)
        seconds = times[1] - times[0]
        whole = "all" if reach == 1 else percent(reach, 0)
        note = f"line: medians of {seconds:.2g} s each; shaded: {whole} of their values"
    ax.plot(times, values, color="black", linewidth=1.1)
    there = np.concatenate([[False], ~np.isnan(values), [False]])
    alone = there[1:-1] & ~there[:-2] & ~there[2:]
    ax.plot(times[alone], values[alone], "o", color="black", markersize=2)
    return note


def _pooled(times: FloatArray, values: FloatArray, reach: float) -> tuple[FloatArray, ...]:
    """Return the middles of columns, and of the values in each the lower end, the median and the upper; NaN if none."""
    edges = np.linspace(times[0], times[-1], COLUMNS + 1)
    there = ~np.isnan(values)
    column = np.clip(np.searchsorted(edges, times[there], side="right") - 1, 0, COLUMNS - 1)
    order = np.lexsort((values[there], column))
    held, first, count = np.unique(column[order], return_index=True, return_counts=True)
    out = np.full((3, COLUMNS), np.nan)
    for row, share in zip(out, ((1 - reach) / 2, 0.5, (1 + reach) / 2), strict=True):
        row[held] = values[there][order][first + np.round(share * (count - 1)).astype(int)]
    return (edges[1:] + edges[:-1]) / 2, *out


def _window_marks(ax: Axes, spans: FloatArray, p: FloatArray, zone: tuple[float, float]) -> None:
    """Draw windows as marks at their middles, whose shape tells the side of the threshold; bars where none overlap."""
    middles = spans.mean(axis=1)
    ax.plot(middles, p, color=QUIET, linewidth=0.8, zorder=2)
    sides = {"^": (p > zone[1], DEEPFAKE), "s": ((p >= zone[0]) & (p <= zone[1]), QUIET), "o": (p < zone[0], GENUINE)}
    for marker, (these, colour) in sides.items():
        if (spans[1:, 0] >= spans[:-1, 1] - _OVERLAP_SECONDS).all():
            ax.hlines(p[these], spans[these, 0], spans[these, 1], color=colour, linewidth=2.2, zorder=2.1)
        ax.plot(middles[these], p[these], marker, color=colour, markersize=5, zorder=2.2)
