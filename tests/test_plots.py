"""Plots: what is drawn is the data, and whatever the data are, it can be read and written."""

from __future__ import annotations

import csv
import functools
import gzip
import hashlib
import itertools
import re
import subprocess
import sys
import warnings
from html import escape
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import same_color
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle, StepPatch
from matplotlib.text import Text
from PIL import Image

from deepfake_audio import plots
from deepfake_audio.errors import MetricError, OutputError
from deepfake_audio.metrics import Difference, average_precision, calibration_error, eer, roc_auc
from deepfake_audio.plots.drawing import COLOURS, DASHES, MARKERS, TOLERANCE, style, thinned

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matplotlib.axes import Axes

Scores = npt.NDArray[np.float64]
SVG = "{http://www.w3.org/2000/svg}"


def simulated(distance: float, n_bonafide: int = 200, n_spoof: int = 600) -> tuple[Scores, Scores]:
    """Return scores of two normal distributions, the same for the same arguments."""
    rng = np.random.default_rng([n_bonafide, n_spoof])
    return rng.normal(distance / 2, 1, n_bonafide), rng.normal(-distance / 2, 1, n_spoof)


SYSTEMS = {"first": simulated(2.0), "second": simulated(3.0)}
ODD = [
    "$x^2$ costs $5",
    "_hidden",
    "\x07 bell\n",
    "\ud800",
    "",
    '<b a="#id">&amp;',
    "名前 שם اسم 🎤",
    "long " * 99,
    "\\$",
]
HISTORY = {"loss": [0.7, 0.5, 0.4], "auc": [0.6, 0.8, 0.9], "val_loss": [0.8, 0.6, 0.6], "val_auc": [0.5, 0.7, 0.8]}
STRESS = {"clean": (0.1, 0.05, 0.2), "MP3 32 kbit/s": (0.25, 0.3, 0.12)}

# A way to draw each plot, with odd names where it takes names.
DRAW: dict[str, Callable[[Axes], Axes]] = {
    "roc": lambda ax: plots.roc(ax, dict.fromkeys(ODD, SYSTEMS["first"])),
    "precision_recall": lambda ax: plots.precision_recall(ax, dict.fromkeys(ODD, SYSTEMS["second"])),
    "det": lambda ax: plots.det(ax, {**dict.fromkeys(ODD, SYSTEMS["first"]), "poor": simulated(0.2)}),
    "coverage": lambda ax: plots.coverage(ax, dict.fromkeys(ODD, SYSTEMS["first"])),
    "confusion_matrix": lambda ax: plots.confusion_matrix(ax, [[4, 1, 0], [1000, 2000, 3]], ODD[:3]),
    "score_histogram": lambda ax: plots.score_histogram(
        ax, *SYSTEMS["first"], dict(zip(ODD, range(9), strict=True)), 1.0
    ),
    "reliability": lambda ax: plots.reliability(ax, [0.1, 0.3, 0.9, 0.8], [0, 0, 1, 1], title=ODD[0]),
    "bars": lambda ax: plots.bars(ax, ODD, np.arange(9) / 20, [(0, 0.5)] * 9, [(9, 99)] * 9),
    "stress_heat_map": lambda ax: plots.stress_heat_map(ax, dict.fromkeys(ODD, (0.1, 0.2, 0.3)), (10, 20)),
    "difference": lambda ax: plots.difference(
        ax, {n: Difference(0.0, -0.1, 0.1) for n in ODD}, (ODD[0], ODD[5]), (3, 4)
    ),
    "training_curves": lambda ax: plots.training_curves(ax, [HISTORY], (30, 40), title=ODD[0]),
}
every_plot = pytest.mark.parametrize("name", plots.PLOTS)


@functools.cache
def drawn(name: str) -> Axes:
    """Return a plot; the same one each time."""
    return DRAW[name](plots.new_axis())


def figure(ax: Axes) -> Figure:
    """Return the figure of an axis."""
    assert isinstance(ax.figure, Figure)
    return ax.figure


def points(line: Any) -> list[Any]:
    """Return the points of a line, as pairs of numbers."""
    return [(float(x), float(y)) for x, y in zip(*line.get_data(), strict=True)]


def steps(ax: Axes) -> list[Any]:
    """Return the values and edges of what was drawn as stairs."""
    return [patch.get_data() for patch in ax.patches if isinstance(patch, StepPatch)]


def words(ax: Axes) -> str:
    """Return all that is written in a figure, as it is read."""
    texts = [text.get_text() for text in figure(ax).findobj(Text) if isinstance(text, Text)]
    return "\n".join(texts).replace(r"\$", "$")


def legend(ax: Axes) -> list[str]:
    """Return the entries of a legend."""
    found = ax.get_legend()
    assert found is not None
    return [text.get_text() for text in found.get_texts()]


def area(line: Any) -> float:
    """Return the area under a line that runs from right to left."""
    x, y = line.get_data()
    return float((-np.diff(x) * (y[1:] + y[:-1]) / 2).sum())


def curves(ax: Any) -> list[Any]:
    """Return the lines that are no marks and no thin dotted guides."""
    return [line for line in ax.lines if line.get_linewidth() > 1 and len(points(line)) > 1]


# --- every plot ------------------------------------------------------------------------------------------------


def test_the_table_holds_every_plot() -> None:
    """Each name is that of its function, is exported, and is tested here."""
    assert {name: function.__name__ for name, function in plots.PLOTS.items()} == {name: name for name in plots.PLOTS}
    of_one_recording = {*plots.RECORDING, "RECORDING", "recording_figure"}
    assert set(plots.__all__) == {*plots.PLOTS, *of_one_recording, "PLOTS", "new_axis", "save", "svg_text"}
    assert set(DRAW) == set(plots.PLOTS)


@every_plot
def test_the_axis_comes_back(name: str) -> None:
    """A plot draws on the axis that it was given, and returns it with a title and the numbers of trials."""
    ax = plots.new_axis()
    assert DRAW[name](ax) is ax
    assert ax.get_title(loc="left")
    assert re.search(r"\d genuine, [\d,]+ deepfake trials", words(ax))


@every_plot
def test_files(name: str, tmp_path: Path) -> None:
    """A PNG of 150 dots per inch and a small SVG are written into a directory that is made; no other file is left."""
    png, svg = plots.save(figure(drawn(name)), tmp_path / "new" / "plots", name)
    assert sorted((tmp_path / "new" / "plots").iterdir()) == sorted([png, svg])
    assert (png.name, svg.name) == (f"{name}.png", f"{name}.svg")
    with Image.open(png) as image:
        image.load()
        assert image.format == "PNG"
        assert image.info["dpi"] == pytest.approx((150, 150), abs=0.1)
        assert min(image.size) > 300
        assert np.asarray(image.convert("L")).std() > 5  # something is on it
    root = ET.fromstring(svg.read_bytes())  # noqa: S314
    assert root.tag == f"{SVG}svg"
    assert svg.stat().st_size < 500_000


@every_plot
def test_svg_stands_in_a_page(name: str) -> None:
    """An SVG for HTML is one element, without what would be the page's: prolog, style sheets, metadata, other's ids."""
    svg = plots.svg_text(figure(drawn(name)))
    assert svg.startswith("<svg ")
    assert svg.endswith("</svg>")
    assert not re.search(r"<\?xml|<!DOCTYPE|<style|<metadata|<script|<image", svg)
    root = ET.fromstring(svg)  # noqa: S314
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    prefix = re.match(r"p[0-9a-f]{10}-", ids[0] or "")
    assert prefix is not None
    assert all((i or "").startswith(prefix[0]) for i in ids)
    assert len(set(ids)) == len(ids)
    assert set(re.findall(r'(?:xlink:href="|url\()#([^")]+)', re.sub(">[^<]*<", "><", svg))) == set(ids)


def test_drawings_in_one_page_share_no_ids() -> None:
    """Drawings that differ have different ids, and one that stands there twice can be given a prefix."""
    figures = [figure(drawn(name)) for name in plots.PLOTS]
    ids = [re.findall(r' id="([^"]+)"', plots.svg_text(figure)) for figure in figures]
    every = [i for one in ids for i in one]
    assert len(set(every)) == len(every) > len(figures)
    assert all(i.startswith("again-") for i in re.findall(r' id="([^"]+)"', plots.svg_text(figures[0], "again-")))


def test_an_svg_says_what_it_is() -> None:
    """Text is text, in a font with others to fall back on, and those who cannot see the drawing are told its title."""
    svg = plots.svg_text(figure(plots.roc(plots.new_axis(), SYSTEMS, title='A "title" of $5')))
    root = ET.fromstring(svg)  # noqa: S314
    assert root.get("role") == "img"
    assert root.get("aria-label") == 'A "title" of $5'
    texts = {element.text: element.get("style") or "" for element in root.iter(f"{SVG}text")}
    assert {'A "title" of $5', "200 genuine, 600 deepfake trials"} <= set(texts)
    assert all("'DejaVu Sans', Verdana, sans-serif" in style for style in texts.values())


def test_odd_names_are_read_as_they_are() -> None:
    """Names are no mathematics and no markup; what cannot be printed is escaped, and long ones are shortened."""
    svg = plots.svg_text(figure(drawn("bars")))
    texts = "\n".join(element.text or "" for element in ET.fromstring(svg).iter(f"{SVG}text"))  # noqa: S314
    for name in (
        "$x^2$ costs $5",
        "_hidden",
        r"\x07 bell\n",
        r"\ud800",
        "(unnamed)",
        '<b a="#id">&amp;',
        "名前 שם اسم 🎤",
    ):
        assert f"{name} (99)" in texts, name
    assert "\\$ (99)" in texts
    assert "long long long l…long long long  (99)" in texts
    assert escape("<b a=") in svg
    svg = plots.svg_text(figure(drawn("det")))
    texts = "\n".join(element.text or "" for element in ET.fromstring(svg).iter(f"{SVG}text"))  # noqa: S314
    assert all(f"{name}: EER " in texts for name in ("$x^2$ costs $5", "_hidden", "(unnamed)", '<b a="#id">&amp;'))


@every_plot
def test_the_same_data_give_the_same_bytes(name: str, tmp_path: Path) -> None:
    """Files tell neither when nor in which process they were made."""
    first = [path.read_bytes() for path in plots.save(figure(drawn(name)), tmp_path, "first")]
    again = [path.read_bytes() for path in plots.save(figure(DRAW[name](plots.new_axis())), tmp_path, "again")]
    assert first == again
    assert not re.search(rb"20\d\d-\d\d-\d\d|matplotlib.org", b"".join(first))


def test_another_process_gives_the_same_bytes() -> None:
    """Nothing depends on the order of hashes, on ``pyplot``, which is not imported, or on figures that were open."""
    code = (
        "import hashlib, sys\n"
        "from deepfake_audio import plots\n"
        "ax = plots.det(plots.new_axis(), {'a': ([1.0, 3.0], [0.0, 2.0]), 'b': ([1.0], [0.0])})\n"
        "print(hashlib.sha256(plots.svg_text(ax.figure).encode()).hexdigest(), 'matplotlib.pyplot' in sys.modules)\n"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    ax = plots.det(plots.new_axis(), {"a": ([1.0, 3.0], [0.0, 2.0]), "b": ([1.0], [0.0])})
    assert found.stdout.split() == [hashlib.sha256(plots.svg_text(figure(ax)).encode()).hexdigest(), "False"]
    assert found.stderr == ""


def test_settings_of_the_user_do_not_matter_and_stay() -> None:
    """Plots look the same whatever matplotlib was told before, and leave all of its settings as they were."""
    import matplotlib as mpl

    plain = plots.svg_text(figure(drawn("det")))
    with mpl.rc_context({"text.usetex": True, "axes.facecolor": "black", "font.size": 30, "svg.fonttype": "path"}):
        before = dict(mpl.rcParams)
        assert plots.svg_text(figure(DRAW["det"](plots.new_axis()))) == plain
        assert dict(mpl.rcParams) == before


@every_plot
def test_no_text_covers_another(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that is written can be read."""
    places: list[tuple[str, Any]] = []
    draw = Text.draw

    def noted(text: Text, renderer: Any) -> None:
        if text.get_visible() and text.get_text().strip():
            places.append((text.get_text(), text.get_window_extent(renderer)))
        draw(text, renderer)

    canvas = FigureCanvasAgg(figure(drawn(name)))
    monkeypatch.setattr(Text, "draw", noted)
    with style(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        canvas.draw()
    assert len(places) > 5
    covered = [
        (one, other)
        for number, (one, here) in enumerate(places)
        for other, there in places[:number]
        if min(here.x1, there.x1) - max(here.x0, there.x0) > 1 and min(here.y1, there.y1) - max(here.y0, there.y0) > 1
    ]
    assert not covered


@given(st.lists(st.tuples(st.floats(0, 9), st.floats(-1, 1)), min_size=1, max_size=60))
@example([(0.0, 0.0), (9.0, 0.0), (1.0, 0.0)])  # there and back
@settings(deadline=None, max_examples=60)
def test_thinned_curves_stay_where_they_were(corners: list[tuple[float, float]]) -> None:
    """No point that is left out lies farther from the curve that is left than the tolerance, in parts of the axes."""
    x, y = np.array(corners).T
    kept_x, kept_y = thinned(x, y, (9.0, 2.0))
    assert points_distance((x / 9, y / 2), (kept_x / 9, kept_y / 2)).max() <= TOLERANCE + 1e-12
    assert (kept_x[0], kept_y[0], kept_x[-1], kept_y[-1]) == (x[0], y[0], x[-1], y[-1])


def points_distance(points: tuple[Scores, Scores], line: tuple[Scores, Scores]) -> Scores:
    """Return how far each point is from the nearest stretch of a line."""
    p = np.stack(points, axis=1)[:, np.newaxis]
    ends = np.stack(line, axis=1)
    a, d = ends[:-1], np.diff(ends, axis=0)
    if not len(d):
        a, d = ends, np.zeros_like(ends)
    along = np.clip(((p - a) * d).sum(axis=2) / np.maximum((d * d).sum(axis=1), 1e-300), 0, 1)
    nearest: Scores = np.hypot(*np.moveaxis(p - a - along[..., np.newaxis] * d, 2, 0)).min(axis=1)
    return nearest


@pytest.mark.parametrize("name", ["roc", "precision_recall", "det", "coverage"])
def test_curves_of_many_trials_are_small(name: str) -> None:
    """Twenty systems of 70,000 trials each give an SVG that a page can hold."""
    trials = simulated(2.0, 7_000, 63_000)
    systems = {f"system {n}": (trials[0] + n / 10, trials[1]) for n in range(20)}
    ax = plots.PLOTS[name](plots.new_axis(), systems)
    assert len(curves(ax)) == 20
    assert len(plots.svg_text(figure(ax))) < 500_000


# --- curves ----------------------------------------------------------------------------------------------------


def test_roc_by_hand() -> None:
    """Of genuine 3, 1 and deepfakes 2, 1, 0: from accepting all down, the tie of 1 moving both rates."""
    ax = plots.roc(plots.new_axis(), {"hand": ([3.0, 1.0], [2.0, 1.0, 0.0])})
    third = pytest.approx(1 / 3)
    assert points(curves(ax)[0]) == [(1, 1), (pytest.approx(2 / 3), 1), (third, 0.5), (0, 0.5), (0, 0)]
    assert "hand: AUC 0.7500; 2 genuine, 3 deepfake trials" in words(ax)  # (3 + 1.5) of 6 pairs
    assert (ax.get_xlabel(), ax.get_ylabel()) == (
        "deepfake called genuine (false acceptance rate), %",
        "genuine called genuine, %",
    )


def test_roc_enlarges_the_corner_where_all_curves_are() -> None:
    """Good systems are drawn twice; one that is not so good keeps the others from it."""
    good, bad = simulated(6.0), simulated(1.0)
    (corner,) = plots.roc(plots.new_axis(), {"good": good}).child_axes
    assert corner.get_xlim()[1] == 0.1
    assert corner.get_ylim()[0] == 0.9
    assert len(curves(corner)) == 1
    assert not plots.roc(plots.new_axis(), {"good": good, "bad": bad}).child_axes


@pytest.mark.parametrize("positive", ["spoof", "bonafide"])
def test_precision_and_recall(positive: Any) -> None:
    """The area under the steps is the average precision, in whichever class one looks for."""
    ax = plots.precision_recall(plots.new_axis(), SYSTEMS, positive=positive)
    for line, (name, trials), entry in zip(curves(ax), SYSTEMS.items(), legend(ax), strict=True):
        expected = average_precision(*trials, positive=positive)
        assert area(line) == pytest.approx(expected, abs=1e-3)
        assert entry == f"{name}\nAP {expected:.4f}"


def test_precision_and_recall_by_hand() -> None:
    """Of genuine 3, 1 and deepfakes 2, 0, called deepfake from 0 up: right, wrong, right, wrong."""
    ax = plots.precision_recall(plots.new_axis(), {"": ([3.0, 1.0], [2.0, 0.0])})
    two_thirds = pytest.approx(2 / 3)
    assert list(dict.fromkeys(points(curves(ax)[0]))) == [
        (1, 0.5),
        (1, two_thirds),
        (0.5, two_thirds),
        (0.5, 0.5),
        (0.5, 1),
        (0, 1),
    ]
    assert "AP 0.8333; 2 genuine, 2 deepfake trials" in words(ax)
    assert "dotted: calling everything deepfake" in words(ax)


def test_det_of_normal_scores_is_straight() -> None:
    """On normal-deviate axes, FRR over FAR of two normal distributions d apart is the line y = -x - d."""
    ax = plots.det(plots.new_axis(), {"": simulated(2.0, 40_000, 40_000)})
    x, y = (np.asarray(data) for data in curves(ax)[0].get_data())
    inside = (np.abs(x + 1) < 1.2) & (np.abs(y + 1) < 1.2)
    assert inside.sum() > 10
    assert np.abs(x + y + 2)[inside].max() < 0.05


def test_det_marks_equal_error_rates_and_labels_percent() -> None:
    """The marks lie where both deviates are that of the EER; ticks are the deviates of the percentages they show."""
    from scipy.stats import norm

    ax = plots.det(plots.new_axis(), SYSTEMS)
    marks = [line for line in ax.lines if len(points(line)) == 1]
    rates = [eer(*trials).rate for trials in SYSTEMS.values()]
    assert [points(mark)[0] for mark in marks] == [pytest.approx((norm.ppf(rate),) * 2) for rate in rates]
    assert len({mark.get_marker() for mark in marks}) == 2
    assert legend(ax) == [f"{name}\nEER {100 * rate:.2f} %" for name, rate in zip(SYSTEMS, rates, strict=True)]
    for axis, label in ((ax.xaxis, "deepfake called genuine (FAR), %"), (ax.yaxis, "genuine called deepfake (FRR), %")):
        shown = [float(text.get_text()) for text in axis.get_ticklabels()]
        assert axis.get_ticklocs() == pytest.approx(norm.ppf(np.array(shown) / 100))
        assert axis.get_label_text() == label
        assert {0.1, 1, 10, 50} <= set(shown)


@pytest.mark.parametrize(
    ("systems", "least", "most"),
    [
        pytest.param({"x": simulated(2.0)}, 0.1, 60, id="usual"),
        pytest.param({"x": simulated(2.0), "y": simulated(0.5)}, 0.1, 99, id="poor"),
        pytest.param({"x": simulated(7.0, 5_000, 5_000)}, 0.01, 60, id="very good"),
        pytest.param({"x": ([1.0], [0.0])}, 0.1, 60, id="perfect"),
        pytest.param({"x": ([0.0], [1.0])}, 0.1, 99.9, id="all wrong"),
    ],
)
def test_det_axes_hold_the_equal_error_rates(systems: Any, least: float, most: float) -> None:
    """Axes go as far as needed, and errors of 0 and 100 % are drawn at their edges."""
    from scipy.stats import norm

    ax = plots.det(plots.new_axis(), systems)
    assert 100 * norm.cdf(ax.get_xlim()) == pytest.approx([least, most])
    assert ax.get_xlim() == ax.get_ylim()
    for line in ax.lines:
        assert np.isfinite(points(line)).all()
    marks = [points(line)[0] for line in ax.lines if len(points(line)) == 1]
    assert len(marks) == len(systems)
    assert all(ax.get_xlim()[0] <= place <= ax.get_xlim()[1] for mark in marks for place in mark)


def test_coverage_by_hand() -> None:
    """Around the threshold 1: genuine 4, 2, 1, 0.5 and deepfakes -2, 0, 1.5, what is 1 away counting together."""
    trials = ([4.0, 2.0, 1.0, 0.5], [-2.0, 0.0, 1.5])
    ax = plots.coverage(plots.new_axis(), {"x": trials}, {"x": 1.0}, {"x": 1.0})
    curve, mark = sorted(ax.lines, key=lambda line: -len(points(line)))
    # The two 3 away are right, so are the two 1 away; both 0.5 away are wrong, and genuine at the threshold is right.
    expected = [(2 / 7, 0), (4 / 7, 0), (6 / 7, 1 / 3), (1, 2 / 7)]
    assert np.array(points(curve)) == pytest.approx(np.array(expected))
    assert points(mark) == [(pytest.approx(4 / 7), 0)]
    assert "x: wrong: 28.6 % of all, 0.0 % of the 57 % with a verdict; 4 genuine, 3 deepfake trials" in words(ax)


def test_coverage_is_the_error_of_the_most_certain() -> None:
    """For any share the curve has the error rate of those that are farthest from the threshold."""
    b, s = SYSTEMS["first"]
    scores, is_bonafide = np.concatenate([b, s]), np.repeat([True, False], [len(b), len(s)])
    margins = np.abs(scores - 0.3)
    ax = plots.coverage(plots.new_axis(), {"": (b, s)}, {"": 0.3})
    x, y = curves(ax)[0].get_data()
    for share in (1.0, 0.9, 0.75, 0.5):
        surest = margins >= np.sort(margins)[::-1][round(share * len(scores)) - 1]
        wrong = ((scores >= 0.3) != is_bonafide)[surest].mean()
        assert np.interp(share, x, y) == pytest.approx(float(wrong), abs=1e-3)


def test_coverage_without_a_verdict_has_no_mark() -> None:
    """A margin that all scores lie within leaves nothing to mark; a single share is a mark of its own."""
    ax = plots.coverage(plots.new_axis(), {"x": SYSTEMS["first"]}, margins={"x": 99.0})
    assert "with a verdict" not in words(ax)
    ax = plots.coverage(plots.new_axis(), {"x": ([1.0], [1.0])})
    assert [(points(line), line.get_marker()) for line in ax.lines] == [([(1, 0.5)], MARKERS[0])]


def test_of_too_many_curves_the_worst_are_drawn() -> None:
    """The first curve stays, the others are those with the highest EER, in their order; and it is told."""
    systems = {f"s{n:02d}": simulated(n / 8) for n in range(40, 5, -1)}
    ax = plots.det(plots.new_axis(), systems)
    assert [entry.split(":")[0] for entry in legend(ax)] == ["s40", *(f"s{n:02d}" for n in range(24, 5, -1))]
    assert "20 of 35: the first, and those with the highest EER" in words(ax)


def test_neighbours_differ_without_colours() -> None:
    """Curves next to each other differ in dash and in marker, and no two of 20 are the same."""
    ax = plots.roc(plots.new_axis(), {f"s{n}": simulated(n / 9) for n in range(20)})
    looks = [(line.get_linestyle(), line._dash_pattern, line.get_marker(), line.get_color()) for line in curves(ax)]
    assert len({str(look) for look in looks}) == 20
    assert len({str(look[:3]) for look in looks}) == 20  # in grey as well
    for one, other in itertools.pairwise(looks):
        assert str(one[:2]) != str(other[:2])
        assert one[2] != other[2]
    assert len(COLOURS) * len(DASHES) == 35


def test_counts_of_different_curves() -> None:
    """Where curves are of different numbers of trials, the title gives the range."""
    systems = {"a": ([1.0, 2.0], [0.0]), "b": ([1.0, 2.0], [0.0, 1.0, 3.0])}
    assert "2 genuine, 1 to 3 deepfake trials each" in words(plots.det(plots.new_axis(), systems))


# --- scores ----------------------------------------------------------------------------------------------------


def test_score_histogram() -> None:
    """Each class adds up to 100 %; thresholds are drawn and named, and the zone around the first one is shaded."""
    thresholds = {"balanced": 0.0, "few-misses": 1.5}
    ax = plots.score_histogram(plots.new_axis(), *SYSTEMS["first"], thresholds, 0.693)
    assert len(steps(ax)) == 6  # of each class: fill, hatching, outline
    assert all(step.values.sum() == pytest.approx(1.0) for step in steps(ax))
    genuine = steps(ax)[0]
    mean = float((genuine.values * (genuine.edges[1:] + genuine.edges[:-1]) / 2).sum())
    assert mean == pytest.approx(SYSTEMS["first"][0].mean(), abs=0.05)
    assert [points(line)[0][0] for line in ax.lines] == [0.0, 1.5]
    assert len({str(line.get_linestyle()) for line in ax.lines}) == 2
    (zone,) = (patch for patch in ax.patches if isinstance(patch, Rectangle))
    assert (zone.get_x(), zone.get_x() + zone.get_width()) == (-0.693, 0.693)
    assert legend(ax) == ["genuine", "deepfake", "inconclusive: ±0.69", "balanced: 0.00", "few-misses: 1.50"]
    assert "natural log-likelihood ratio" in ax.get_xlabel()


def test_score_histogram_counts_what_lies_far_out() -> None:
    """One score far away does not press all others into one bin; it is counted at the edge, and that is told."""
    b, s = np.append(np.linspace(0, 1, 2000), 1e6), np.linspace(-1, 0, 2001)
    ax = plots.score_histogram(plots.new_axis(), b, s)
    low, high = ax.get_xlim()
    assert (low, high) == pytest.approx((-1, 1), abs=0.1)
    assert "1 beyond the edges counted in the outermost bins" in words(ax)
    assert steps(ax)[0].values.sum() == pytest.approx(1.0)
    assert "beyond" not in words(plots.score_histogram(plots.new_axis(), b[:-1], s))


def test_score_histogram_shows_all_thresholds() -> None:
    """A threshold beyond all scores, and the zone around it, can be seen."""
    ax = plots.score_histogram(plots.new_axis(), [1.0, 2.0], [0.0, 1.0], {"far": -5.0, "farther": 9.0}, 2.0)
    low, high = ax.get_xlim()
    assert low < -7
    assert high > 9


@pytest.mark.parametrize("score", [0.0, 1e6, -1e-9])
def test_score_histogram_of_equal_scores(score: float) -> None:
    """Where all scores are the same, there is room around them."""
    ax = plots.score_histogram(plots.new_axis(), [score], [score, score])
    low, high = ax.get_xlim()
    assert low < score < high
    assert high - low == pytest.approx(1.0)


def test_reliability_by_hand() -> None:
    """With halves for the classes: at 0.1 one of two genuine, at 0.9 the other one and the only deepfake."""
    p, truth = [0.1, 0.9, 0.9], [False, False, True]
    ax = plots.reliability(plots.new_axis(), p, truth)
    # 0.25 of the genuine half lie at 0.1; at 0.9 lie 0.25 genuine and 0.5 deepfake.
    assert points(curves(ax)[0]) == [(pytest.approx(0.1), 0), (pytest.approx(0.9), pytest.approx(2 / 3))]
    error = 0.25 * 0.1 + 0.75 * (0.9 - 2 / 3)
    assert calibration_error(p, truth) == pytest.approx(error)
    assert f"expected calibration error {error:.3f}; 2 genuine, 1 deepfake trials" in words(ax)
    below = figure(ax).axes[1]
    genuine, deepfake = (steps(below)[number].values for number in (0, 3))
    assert [np.flatnonzero(shares).tolist() for shares in (genuine, deepfake)] == [[1, 9], [9]]
    assert (genuine.sum(), deepfake.sum()) == (1, 1)
    assert below.get_xlabel() == "probability of a deepfake that was given, %"


def test_panels_share_the_place_of_the_axis() -> None:
    """A plot of several panels takes no more room than the axis had, and leaves the axes beside it alone."""
    shared = Figure()
    left, right = shared.subplots(1, 2)
    before, other = left.get_position(), right.get_position().bounds
    plots.reliability(left, [0.1, 0.9], [0, 1])
    panels = [ax for ax in shared.axes if ax is not right]
    assert len(panels) == 2
    for panel in panels:
        box = panel.get_position()
        assert before.y0 - 1e-9 <= box.y0 < box.y1 <= before.y1 + 1e-9
        assert (box.x0, box.x1) == pytest.approx((before.x0, before.x1))
    assert panels[1].get_position().y1 < panels[0].get_position().y0
    assert right.get_position().bounds == other


# --- rates -----------------------------------------------------------------------------------------------------


def test_confusion_matrix() -> None:
    """Each cell has its count and its percentage of the row; a third column is possible."""
    ax = plots.confusion_matrix(plots.new_axis(), [[3, 1], [200, 1800]], threshold=0.25)
    cells = {
        (text.get_position(), text.get_text())
        for text in ax.texts
        if "%\n" in text.get_text() or "\n" in text.get_text()
    }
    assert cells == {
        ((0, 0), "3\n75.0 %"),
        ((1, 0), "1\n25.0 %"),
        ((0, 1), "200\n10.0 %"),
        ((1, 1), "1,800\n90.0 %"),
    }
    assert "4 genuine, 2,000 deepfake trials, decided at 0.250; percent of each row" in words(ax)
    assert [text.get_text() for text in ax.get_yticklabels()] == ["genuine\n(4)", "deepfake\n(2,000)"]
    assert ax.get_ylim() == (1.5, -0.5)  # genuine on top
    wide = plots.confusion_matrix(plots.new_axis(), [[3, 1, 0], [0, 0, 5]], ("genuine", "deepfake", "inconclusive"))
    assert [text.get_text() for text in wide.get_xticklabels()][2] == "called\ninconclusive"


def test_dark_cells_have_white_text() -> None:
    """Text differs from what is behind it."""
    ax = plots.confusion_matrix(plots.new_axis(), [[9, 1], [5, 5]])
    colours = {text.get_text(): text.get_color() for text in ax.texts}
    assert (colours["9\n90.0 %"], colours["1\n10.0 %"]) == ("white", "black")


def test_bars() -> None:
    """The highest rate is on top; each has its value, its interval and its counts."""
    ax = plots.bars(
        plots.new_axis(),
        ["low", "high", "none"],
        [0.02, 0.31, 0.1],
        [(0.01, 0.03), (0.2, 0.4), None],
        [(10, 200), (30, 4000), (50, 60)],
    )
    assert [patch.get_width() for patch in ax.patches] == [0.31, 0.1, 0.02]  # type: ignore[attr-defined]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]
    labels = [text.get_text() for text in ax.get_yticklabels()]
    assert labels == ["high (30 / 4,000)", "none (50 / 60)", "low (10 / 200)"]
    assert [points(line) for line in ax.lines] == [[(0.2, 0), (0.4, 0)], [(0.01, 2), (0.03, 2)]]
    assert [text.get_text() for text in ax.texts[:3]] == ["31.0 %", "10.0 %", "2.0 %"]
    assert "10 to 50 genuine, 60 to 4,000 deepfake trials each" in words(ax)
    assert "lines: intervals; in brackets: genuine / deepfake trials" in words(ax)
    assert ax.get_xlabel() == "equal error rate, %"
    assert ax.get_xlim()[0] == 0
    assert ax.get_xlim()[1] > 0.4


def test_bars_against_the_same_genuine_trials() -> None:
    """Attacks share their genuine trials: only those of deepfakes stand beside each."""
    ax = plots.bars(plots.new_axis(), ["A07", "A08"], [0.01, 0.002], trials=[(7355, 4914), (7355, 4914)])
    assert [text.get_text() for text in ax.get_yticklabels()] == ["A07 (4,914)", "A08 (4,914)"]
    assert "7,355 genuine, 4,914 deepfake trials" in words(ax)
    assert [text.get_text() for text in ax.texts[:2]] == ["1.00 %", "0.20 %"]  # small rates have two places


def test_of_too_many_bars_the_highest_are_drawn() -> None:
    """Of 200 attacks 40 are drawn, on a figure that is as high as they need, and the title says so."""
    rates = np.linspace(0, 0.5, 200)
    ax = plots.bars(plots.new_axis(), [f"attack {n}" for n in range(200)], rates)
    assert len(ax.patches) == 40
    assert ax.get_yticklabels()[0].get_text() == "attack 199"
    assert "the 40 highest of 200" in words(ax)
    assert figure(ax).get_figheight() > 10
    assert figure(plots.bars(plots.new_axis(), ["only"], [0.0])).get_figheight() < 2


def test_stress_heat_map() -> None:
    """A row has the three rates in percent and their changes against the first row in points."""
    ax = plots.stress_heat_map(plots.new_axis(), STRESS, (20, 30))
    cells = {text.get_position(): text.get_text() for text in ax.texts if isinstance(text.get_position()[0], int)}
    assert [cells[column, 0] for column in range(6)] == ["10.0", "", "5.0", "", "20.0", ""]
    assert [cells[column, 1] for column in range(6)] == ["25.0", "+15.0", "30.0", "+25.0", "12.0", "-8.0"]
    heads = [text.get_text().replace("\n", " ") for text in ax.get_xticklabels()]
    assert heads == ["EER %", "change points", "FRR %", "change points", "FAR %", "change points"]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["clean", "MP3 32 kbit/s"]
    assert "20 genuine, 30 deepfake trials" in words(ax)
    shades = np.asarray(ax.collections[0].get_array()).reshape(2, 6)
    assert shades[1] == pytest.approx(np.array([0.25, 0.15, 0.3, 0.25, 0.12, 0.0]) / 0.3)  # better is as white as none


def test_difference() -> None:
    """Values and intervals in percentage points, filled where the interval leaves out 0, and which side is better."""
    found = {"EER": Difference(-0.04, -0.06, -0.02), "FRR": Difference(0.01, -0.01, 0.03)}
    ax = plots.difference(plots.new_axis(), found, ("old", "new"), (20, 30))
    assert [points(line) for line in ax.lines[:4]] == [
        [(pytest.approx(-6), 0), (pytest.approx(-2), 0)],
        [(pytest.approx(-4), 0)],
        [(pytest.approx(-1), 1), (pytest.approx(3), 1)],
        [(pytest.approx(1), 1)],
    ]
    assert not same_color(ax.lines[1].get_markerfacecolor(), "white")
    assert same_color(ax.lines[3].get_markerfacecolor(), "white")
    assert {"-4.0 [-6.0, -2.0]", "+1.0 [-1.0, +3.0]"} <= {text.get_text() for text in ax.texts}
    assert ax.get_xlabel() == "new minus old, percentage points (left: new is better)"
    assert ax.get_xlim()[0] == -ax.get_xlim()[1]
    assert "20 genuine, 30 deepfake trials" in words(ax)


def test_difference_of_what_is_no_error() -> None:
    """Figures that are no rates are drawn as they are; where higher is better, that is the right side."""
    found = {"AUC": Difference(0.02, 0.01, 0.03)}
    ax = plots.difference(plots.new_axis(), found, in_points=False, lower_is_better=False)
    assert points(ax.lines[1]) == [(0.02, 0)]
    assert ax.get_xlabel() == "B minus A (right: B is better)"
    assert same_color(ax.lines[1].get_color(), plots.drawing.GENUINE)


# --- training --------------------------------------------------------------------------------------------------


def test_training_curves() -> None:
    """Loss and metrics have a panel each, over epochs from 1; what was held out is dashed."""
    ax = plots.training_curves(plots.new_axis(), [HISTORY, HISTORY], (300, 4000))
    panels = figure(ax).axes
    assert [panel.get_ylabel() for panel in panels] == ["loss", "AUC"]
    for panel, name in zip(panels, ("loss", "auc"), strict=True):
        expected = [list(zip((1, 2, 3), HISTORY[key], strict=True)) for key in (name, f"val_{name}") for _ in range(2)]
        assert [points(line) for line in panel.lines] == expected
        assert len({line.is_dashed() for line in panel.lines}) == 2
    assert panels[-1].get_xlabel() == "epoch"
    assert legend(ax) == ["learnt from", "held out"]
    assert "3 epochs, 2 parts, a line each; 300 genuine, 4,000 deepfake trials" in words(ax)


def test_training_curves_without_what_was_held_out() -> None:
    """A model trained on all data has nothing held out, and one epoch is a single mark at a whole number."""
    ax = plots.training_curves(plots.new_axis(), [{"loss": [0.5]}])
    assert [points(line) for line in ax.lines] == [[(1, 0.5)]]
    assert legend(ax) == ["learnt from"]
    assert [tick for tick in ax.get_xticks() if 0.5 <= tick <= 1.5] == [1]
    assert "1 epoch" in words(ax)


# --- what cannot be drawn --------------------------------------------------------------------------------------

BAD: dict[str, tuple[Callable[[Axes], Axes], str]] = {
    "no system": (lambda ax: plots.det(ax, {}), "no system"),
    "no genuine": (lambda ax: plots.roc(ax, {"x": ([], [1.0])}), "no bona fide trials"),
    "no deepfakes": (lambda ax: plots.precision_recall(ax, {"x": ([1.0], [])}), "no spoofed trials"),
    "NaN": (lambda ax: plots.coverage(ax, {"x": ([1.0, np.nan], [1.0])}), "bona fide scores hold NaN"),
    "infinite score": (lambda ax: plots.score_histogram(ax, [1.0], [np.inf]), "spoofed scores hold NaN or inf"),
    "infinite threshold": (lambda ax: plots.score_histogram(ax, [1.0], [0.0], {"x": np.inf}), "thresholds hold NaN"),
    "one class": (lambda ax: plots.reliability(ax, [0.5], [1]), "no bona fide"),
    "no probability": (lambda ax: plots.reliability(ax, [0.5, 1.5], [0, 1]), "between 0 and 1"),
    "counts of one class": (lambda ax: plots.confusion_matrix(ax, [[0, 0], [1, 1]]), "trials of either class"),
    "half a trial": (lambda ax: plots.confusion_matrix(ax, [[0.5, 0.5], [1.0, 1.0]]), "whole numbers"),
    "fewer than no trials": (lambda ax: plots.confusion_matrix(ax, [[-1, 2], [1, 1]]), "whole numbers"),
    "three rows": (lambda ax: plots.confusion_matrix(ax, np.ones((3, 2))), "must have the shape 2 x 2, not 3 x 2"),
    "no bars": (lambda ax: plots.bars(ax, [], []), "there are no rates to draw"),
    "a rate that is missing": (lambda ax: plots.bars(ax, ["x"], [np.nan]), "rates hold NaN"),
    "words": (lambda ax: plots.bars(ax, ["x"], np.array(["high"])), "rates must be numbers"),
    "fewer names": (lambda ax: plots.bars(ax, ["x"], [0.1, 0.2]), "2 rates need as many names"),
    "fewer counts": (lambda ax: plots.bars(ax, ["x", "y"], [0.1, 0.2], trials=[(1, 2)]), "2 rates need as many"),
    "a bad interval": (lambda ax: plots.bars(ax, ["x"], [0.1], [(0.0, np.inf)]), "intervals hold NaN or inf"),
    "no conditions": (lambda ax: plots.stress_heat_map(ax, {}), "there are no rates to draw"),
    "two rates": (lambda ax: plots.stress_heat_map(ax, {"x": (0.1, 0.2)}), "shape n x 3, not 1 x 2"),  # type: ignore[dict-item]
    "no differences": (lambda ax: plots.difference(ax, {}), "there are no differences"),
    "no history": (lambda ax: plots.training_curves(ax, []), "no training history"),
    "an SVM's history": (lambda ax: plots.training_curves(ax, [{}]), "no training history"),
    "no epochs": (lambda ax: plots.training_curves(ax, [{"loss": []}]), "there are no loss to draw"),
    "a loss that is NaN": (lambda ax: plots.training_curves(ax, [{"loss": [np.nan]}]), "loss hold NaN"),
}


@pytest.mark.parametrize(("draw", "message"), BAD.values(), ids=BAD)
def test_what_cannot_be_drawn(draw: Callable[[Axes], Axes], message: str) -> None:
    """What has no curve is an error that says why."""
    with pytest.raises(MetricError, match=re.escape(message)):
        draw(plots.new_axis())


def test_importing_the_plots_does_not_import_matplotlib() -> None:
    """Importing costs nothing, so that a command may do it before it knows that it draws."""
    code = "import sys, deepfake_audio.plots; print('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "False\n"


def test_files_that_cannot_be_written(tmp_path: Path) -> None:
    """A file where the directory should be, or a directory where a file should be, is told; old files stay whole."""
    shown = figure(drawn("confusion_matrix"))
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="file: cannot be made"):
        plots.save(shown, tmp_path / "file", "det")
    (tmp_path / "det.png").write_bytes(b"old")
    (tmp_path / "det.svg").mkdir()
    with pytest.raises(OutputError, match=r"det\.svg"):
        plots.save(shown, tmp_path, "det")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["det.png", "det.svg", "file"]


# --- real scores -----------------------------------------------------------------------------------------------


def test_real_scores(shared: Path, tmp_path: Path) -> None:
    """AASIST-L on the 71,237 trials of ASVspoof 2019 LA: its published EER, and small files."""
    with gzip.open(shared / "metrics" / "real" / "asv19la_eval_aasist_l.csv.gz", "rt", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    scores, is_bonafide = (
        np.array([float(row["score"]) for row in rows]),
        np.array([r["key"] == "bonafide" for r in rows]),
    )
    trials = scores[is_bonafide], scores[~is_bonafide]
    ax = plots.roc(plots.new_axis(), {"AASIST-L": trials})
    assert len(points(curves(ax)[0])) < 500
    assert area(curves(ax)[0]) == pytest.approx(roc_auc(*trials), abs=1e-4)
    assert "7,355 genuine, 63,882 deepfake trials" in words(ax)
    det = plots.det(plots.new_axis(), {"AASIST-L": trials})
    assert "AASIST-L: EER 0.99 %" in words(det)
    for name, shown in (("roc", ax), ("det", det)):
        _, svg = plots.save(figure(shown), tmp_path, name)
        assert svg.stat().st_size < 100_000
