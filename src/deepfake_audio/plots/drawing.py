"""What all plots share: the look, names, titles, curves of few points, and how figures become files."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import re
import textwrap
import threading
import warnings
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt

from deepfake_audio.errors import MetricError, OutputError, printable
from deepfake_audio.files import replacing

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

P = ParamSpec("P")
R = TypeVar("R")
FloatArray = npt.NDArray[np.float64]
# The scores of the bona fide and of the spoofed trials, higher = more bona fide.
TwoClasses = tuple[npt.ArrayLike, npt.ArrayLike]

DPI = 150
FONT = "DejaVu Sans"  # comes with matplotlib, so that text is as wide everywhere
GENUINE, DEEPFAKE, QUIET = "#0072B2", "#D55E00", "#595959"
# The colours of Okabe and Ito (2008, "Color universal design") that show on white. With 7 colours, 5 dashes and 9
# markers, each of the first 35 curves differs from its neighbours in all three.
COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (7, 1.5, 1, 1.5)), (0, (3, 1, 1, 1, 1, 1)))
MARKERS = "osD^vP<X>"
# How far a curve of fewer points may lie from the whole one, as a part of the axis: a quarter of a pixel.
TOLERANCE = 1 / 3_000

_STYLE: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "font.family": [FONT],
    "font.size": 9.5,
    "grid.color": "#D9D9D9",
    "grid.linewidth": 0.6,
    "hatch.linewidth": 0.7,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "legend.handlelength": 3.2,
    "lines.linewidth": 1.5,
    "savefig.bbox": "tight",
    "savefig.pad_inches": 0.1,
    "svg.fonttype": "none",
    "svg.hashsalt": "deepfake-audio",
}
# Settings of matplotlib hold for the whole process: only one thread at a time has ours.
_LOCK = threading.RLock()


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Draw in our style whatever the user's own settings are, which come back afterwards."""
    import matplotlib as mpl

    with _LOCK, mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


def styled(function: Callable[P, R]) -> Callable[P, R]:
    """Have a function draw in our style."""

    @functools.wraps(function)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> R:
        with style():
            return function(*args, **kwargs)

    return drawn


@styled
def new_axis(width: float = 6.4, height: float = 4.8) -> Axes:
    """
    Return the only axis of a new figure, which is its ``figure``.

    The figure belongs to no window and to no list of open figures: it is gone once nobody holds it.

    Args:
        width: In inches; what does not fit, such as long names, is added when the figure is saved.
        height: In inches.
    """
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI).add_subplot()


# --- words -----------------------------------------------------------------------------------------------------


def named(text: str, longest: int = 32) -> str:
    r"""
    Return a name as one line of a plot: printable, its middle left out if it is long, and never read as mathematics.

    Examples:
        >>> named("a\tb")
        'a\\tb'
        >>> named("from-the-first-to-the-last", 11)
        'from-…-last'
        >>> named("$x$")
        '\\$x\\$'
    """
    name = printable(text) or "(unnamed)"
    if len(name) > longest:
        tail = (longest - 1) // 2
        name = f"{name[: longest - 1 - tail]}…{name[-tail:]}"
    return name.replace("$", r"\$")


def titled(ax: Axes, title: str, *notes: str, room: float = 0.0) -> None:
    """Put a title above an axis and notes under it, such as the numbers of trials; ``room`` points lie below."""
    lines = [line for note in notes if note for line in textwrap.wrap(note, 88)]
    ax.annotate(
        "\n".join(lines), (0, 1), (0, 6 + room), "axes fraction", "offset points", va="bottom", color=QUIET, fontsize=9
    )
    ax.set_title("\n".join(textwrap.wrap(named(title, 160), 66)), loc="left", pad=9 + room + 12.5 * len(lines))


def percent(rate: float, places: int = 1) -> str:
    """
    Return a fraction as a percentage.

    Examples:
        >>> percent(0.0512)
        '5.1 %'
    """
    return f"{100 * rate:.{places}f} %"


def counted(trials: Iterable[tuple[int, int]]) -> str:
    """
    Return how many trials there are, as ``(n_bonafide, n_spoof)`` of each curve or bar.

    Examples:
        >>> counted([(1000, 20)])
        '1,000 genuine, 20 deepfake trials'
        >>> counted([(7, 20), (7, 300)])
        '7 genuine, 20 to 300 deepfake trials each'
    """
    pairs = list(trials)
    words = [
        f"{min(ns):,} {name}" if min(ns) == max(ns) else f"{min(ns):,} to {max(ns):,} {name}"
        for name, ns in (("genuine", [b for b, _ in pairs]), ("deepfake", [s for _, s in pairs]))
    ]
    return f"{', '.join(words)} trials{' each' if len(set(pairs)) > 1 else ''}"


# --- numbers ---------------------------------------------------------------------------------------------------


def finite(what: str, values: npt.ArrayLike, shape: tuple[int | None, ...] = (None,)) -> FloatArray:
    """
    Return values as an array.

    Args:
        what: What they are, for the message.
        values: The values.
        shape: What their shape must be; None for any length but 0.

    Raises:
        MetricError: If the shape differs, or one is NaN or infinite.
    """
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise MetricError(f"{what} must be numbers, as many in each row") from error
    if array.size == 0:
        raise MetricError(f"there are no {what} to draw")
    if array.ndim != len(shape) or any(n not in (wanted, None) for n, wanted in zip(shape, array.shape, strict=True)):
        raise MetricError(f"{what} must have the shape {_shape(shape)}, not {_shape(array.shape)}")
    if not np.isfinite(array).all():
        raise MetricError(f"{what} hold NaN or infinity")
    return array


def _shape(shape: tuple[int | None, ...]) -> str:
    return " x ".join("n" if length is None else str(length) for length in shape) or "of one number"


def thinned(x: FloatArray, y: FloatArray, spans: tuple[float, float] = (1.0, 1.0)) -> tuple[FloatArray, FloatArray]:
    """
    Return the points of a curve without which it would not look the same.

    Between two points that are kept, the one farthest from the straight line is kept too, until none is farther than
    ``TOLERANCE`` (Douglas and Peucker 1973, "Algorithms for the reduction of the number of points").

    Args:
        x: Shape (n,), n > 0.
        y: Shape (n,).
        spans: What both axes show, from end to end, in the units of ``x`` and ``y``.
    """
    u, v = x / spans[0], y / spans[1]
    kept = np.zeros(len(x), dtype=bool)
    kept[[0, -1]] = True
    stretches = [(0, len(x) - 1)]
    while stretches:
        first, last = stretches.pop()
        if last - first < 2:  # noqa: PLR2004 - nothing lies between
            continue
        du, dv = u[last] - u[first], v[last] - v[first]
        pu, pv = u[first + 1 : last] - u[first], v[first + 1 : last] - v[first]
        along = np.clip((pu * du + pv * dv) / max(du * du + dv * dv, 1e-30), 0, 1)
        away = np.hypot(pu - along * du, pv - along * dv)
        farthest = int(np.argmax(away))
        if away[farthest] > TOLERANCE:
            middle = first + 1 + farthest
            kept[middle] = True
            stretches += [(first, middle), (middle, last)]
    return x[kept], y[kept]


# --- layout ----------------------------------------------------------------------------------------------------


def split(ax: Axes, shares: Sequence[float], gap: float) -> list[Axes]:
    """
    Divide the place of an axis among itself, on top, and new ones below it.

    Args:
        ax: The axis, which becomes the first.
        shares: How high each is, from the top.
        gap: What is between two of them, in the unit of the shares.
    """
    box = ax.get_position(original=True)
    unit = box.height / (sum(shares) + gap * (len(shares) - 1))
    panels, top = [], box.y1
    for number, share in enumerate(shares):
        place = (box.x0, top - share * unit, box.width, share * unit)
        if number:
            panels.append(ax.figure.add_axes(place))
        else:
            ax.set_position(place)
            panels.append(ax)
        top -= (share + gap) * unit
    return panels


def grown(ax: Axes, height: float) -> None:
    """Make the figure so many inches high if it has no other axis."""
    figure = ax.figure.figure  # not a part of it
    if figure.axes == [ax]:
        figure.set_figheight(height)


def in_percent(ax: Axes, x: str, y: str) -> None:
    """Label both axes of rates, of which all from 0 to 1 can be seen, in percent."""
    percent_ticks(ax.xaxis)
    percent_ticks(ax.yaxis)
    ax.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), xlabel=x, ylabel=y)


def percent_ticks(axis: Axis) -> None:
    """Write fractions as percentages, to as many places as they need."""
    axis.set_major_formatter(lambda rate, _: f"{round(100 * rate, 6):g}")


def legend_beside(ax: Axes, handles: Sequence[Any], labels: Sequence[str]) -> None:
    """Put a legend to the right of an axis, where it hides nothing."""
    # The words come afterwards: a label that begins with an underscore would be left out.
    legend = ax.legend(handles, ["x"] * len(labels), loc="upper left", bbox_to_anchor=(1.02, 1.0), borderaxespad=0.0)
    for text, label in zip(legend.get_texts(), labels, strict=True):
        text.set_text(label)


# --- files -----------------------------------------------------------------------------------------------------


def save(figure: Figure, directory: str | os.PathLike[str], name: str) -> tuple[Path, Path]:
    """
    Write a figure as ``NAME.png``, of 150 dots per inch, and ``NAME.svg``, whose text is text.

    The same figure gives the same bytes, with one version of matplotlib.

    Args:
        figure: The figure, ``ax.figure``.
        directory: Where to; made if it is missing.
        name: The name of the files, without a suffix.

    Returns:
        The paths of the two.

    Raises:
        OutputError: If they cannot be written; neither file is then half there.
    """
    folder = Path(directory)
    png, svg = _rendered(figure, "png"), b'<?xml version="1.0" encoding="utf-8"?>\n' + svg_text(figure).encode()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made ({error.strerror})") from error
    paths = folder / f"{name}.png", folder / f"{name}.svg"
    for path, content in zip(paths, (png, svg), strict=True):
        with replacing(path) as stream:
            stream.write(content)
    return paths


def svg_text(figure: Figure, prefix: str = "") -> str:
    """
    Return a figure as one ``<svg>`` element, to stand among others in a page of HTML.

    It has no prolog, no style sheet and no metadata, which would be the page's as well.

    Args:
        figure: The figure.
        prefix: What its ids begin with, so that they are no other element's; by default it is made of the drawing, so
            that only the same drawing twice has the same ids.
    """
    svg = _rendered(figure, "svg").decode()
    svg = svg[svg.index("<svg ") :].rstrip()
    svg = re.sub(r"<metadata>.*?</metadata>|<style .*?</style>", "", svg, flags=re.DOTALL)
    used = set(re.findall(r'(?:xlink:href="|url\()#([\w.-]+)', svg))
    prefix = prefix or f"p{hashlib.sha256(svg.encode()).hexdigest()[:10]}-"

    def tag(match: re.Match[str]) -> str:
        """Change what stands in a tag, never what is text."""
        text = re.sub(r' id="([\w.-]+)"', lambda m: f' id="{prefix}{m[1]}"' if m[1] in used else "", match[0])
        text = re.sub(r'(xlink:href="|url\()#', rf"\1#{prefix}", text)
        return text.replace(f"'{FONT}'", f"'{FONT}', Verdana, sans-serif")

    svg = re.sub(r"<[^>]*>", tag, svg)
    # What the style sheet said, for this drawing alone; and what it is called, for those who cannot see it.
    title = escape(
        " ".join(ax.get_title(loc="left") for ax in figure.axes).replace(r"\$", "$").replace("\n", " ").strip()
    )
    return svg.replace(
        "<svg ", f'<svg role="img" aria-label="{title}" stroke-linejoin="round" stroke-linecap="butt" ', 1
    )


def _rendered(figure: Figure, kind: str) -> bytes:
    stream = io.BytesIO()
    with style(), warnings.catch_warnings():
        # A letter that the font lacks is a box in the PNG; viewers of the SVG have it from another font.
        warnings.filterwarnings("ignore", message="Glyph .* missing from|Matplotlib currently does not support")
        figure.savefig(stream, format=kind, dpi=DPI, metadata={"Software": None} if kind == "png" else None)
    return stream.getvalue()
