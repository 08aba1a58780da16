"""Pictures of one recording: what is drawn lies where and when it was, however long the recording is."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import same_color
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from signals import FloatArray, noise, silence, sine, voice

from deepfake_audio import plots
from deepfake_audio.calibration import p_deepfake
from deepfake_audio.errors import MetricError
from deepfake_audio.plots import level_track, pitch_track, recording_figure, score_timeline, spectrogram, waveform
from deepfake_audio.plots.drawing import DEEPFAKE, GENUINE, style
from deepfake_audio.plots.recording import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matplotlib.axes import Axes

AnyArray = npt.NDArray[Any]
SVG = "{http://www.w3.org/2000/svg}"
RATE = 8_000
SIGNAL = voice(3.0, RATE)
HOUR = np.tile(noise(10.0, RATE), 360)


def explanation(change: AnyArray, **values: Any) -> Any:
    """Return what explains two seconds of speech with a pause from 0.9 to 1.5 s, in a grid of equal cells."""
    n_bands, n_times = change.shape
    cuts = np.linspace(0, 3, n_times + 1)
    speech = np.array([[0.0, 0.9], [1.5, 3.0]])
    edges = np.linspace(0, RATE / 2, n_bands + 1)
    given = {
        "llr": -1.5,
        "llr_of_noise": 0.25,
        "starts": cuts[:-1],
        "ends": cuts[1:],
        "edges_hz": edges,
        "change": change,
        "speech": speech,
    }
    return SimpleNamespace(**{**given, **values})


CHANGE = np.array([[0.35, -0.01, -1.0], [0.0, 0.7, -0.4]])

# A way to draw each picture.
DRAW: dict[str, Callable[[Axes], Axes]] = {
    "waveform": lambda ax: waveform(ax, SIGNAL, RATE, [(0.5, 1.0), (2.0, 3.0)]),
    "spectrogram": lambda ax: spectrogram(ax, SIGNAL, RATE, explanation(CHANGE)),
    "score_timeline": lambda ax: score_timeline(ax, [[0, 1], [1, 2], [2, 3]], [0.1, 0.5, 0.9], 0.0, 0.7, [(2, 3)]),
    "pitch_track": lambda ax: pitch_track(ax, np.arange(300) / 100, 150 + np.arange(300) / 3),
    "level_track": lambda ax: level_track(ax, np.arange(300) / 100, -20 - np.arange(300) / 10),
}
# The same of an hour.
LONG: dict[str, Callable[[Axes], Axes]] = {
    "waveform": lambda ax: waveform(ax, HOUR, RATE, [(100 * n, 100 * n + 20) for n in range(36)]),
    "spectrogram": lambda ax: spectrogram(ax, HOUR, RATE, explanation(np.tile(CHANGE, 10))),
    "score_timeline": lambda ax: score_timeline(ax, np.arange(1, 14_401) / 4, np.random.default_rng(0).random(14_400)),
    "pitch_track": lambda ax: pitch_track(
        ax, np.arange(1, 360_001) / 100, 99 + np.random.default_rng(0).random(360_000)
    ),
    "level_track": lambda ax: level_track(
        ax, np.arange(1, 360_001) / 100, -99 * np.random.default_rng(0).random(360_000)
    ),
}
every_picture = pytest.mark.parametrize("name", DRAW)


def figure(ax: Axes) -> Figure:
    """Return the figure of an axis."""
    assert isinstance(ax.figure, Figure)
    return ax.figure


def words(ax: Axes) -> str:
    """Return all that is written in a figure."""
    return "\n".join(text.get_text() for text in figure(ax).findobj(Text) if isinstance(text, Text))


def legend(ax: Axes) -> list[str]:
    """Return the entries of a legend."""
    found = ax.get_legend()
    return [] if found is None else [text.get_text() for text in found.get_texts()]


def boxes(ax: Axes) -> list[tuple[float, float, float, float]]:
    """Return the hatched rectangles: left, lower, right, upper."""
    found = [patch for patch in ax.patches if isinstance(patch, Rectangle) and patch.get_hatch()]
    places = [(p.get_x(), p.get_y(), p.get_x() + p.get_width(), p.get_y() + p.get_height()) for p in found]
    return [tuple(round(float(edge), 6) for edge in place) for place in places]  # type: ignore[misc]


def points(line: Any) -> list[tuple[float, float]]:
    """Return the points of a line, as pairs of numbers."""
    return [(float(x), float(y)) for x, y in zip(*line.get_data(), strict=True)]


def image(ax: Axes) -> AnyArray:
    """Return the levels of a spectrogram, lowest frequency first."""
    (found,) = ax.images
    return np.asarray(found.get_array())


# --- every picture ---------------------------------------------------------------------------------------------


def test_the_table_holds_every_picture() -> None:
    """Each name is that of its function, is exported, and is tested here."""
    assert {name: function.__name__ for name, function in plots.RECORDING.items()} == {n: n for n in plots.RECORDING}
    assert set(DRAW) == set(LONG) == set(plots.RECORDING)
    assert {*plots.RECORDING, "RECORDING", "recording_figure"} <= set(plots.__all__)


@every_picture
def test_the_axis_comes_back(name: str) -> None:
    """A picture is drawn on the axis that it was given, has a title, and goes from 0 to the end of the recording."""
    ax = plots.new_axis()
    assert DRAW[name](ax) is ax
    assert ax.get_title(loc="left")
    assert ax.get_xlabel() == "time, s"
    assert ax.get_xlim() == pytest.approx((0, 3), abs=0.02)
    assert ax.get_ylabel()


@every_picture
def test_the_same_data_give_the_same_bytes(name: str, tmp_path: Path) -> None:
    """Files tell neither when nor in which process they were made."""
    first = [path.read_bytes() for path in plots.save(figure(DRAW[name](plots.new_axis())), tmp_path, "first")]
    again = [path.read_bytes() for path in plots.save(figure(DRAW[name](plots.new_axis())), tmp_path, "again")]
    assert first == again
    assert not re.search(rb"20\d\d-\d\d-\d\d|matplotlib.org", b"".join(first))


@every_picture
def test_an_hour_is_drawn_soon_and_small(name: str) -> None:
    """An SVG of an hour has at most half a megabyte, whatever is drawn, and nobody waits for it."""
    begun = time.process_time()
    ax = LONG[name](plots.new_axis())
    svg = plots.svg_text(figure(ax))
    assert time.process_time() - begun < 8
    assert len(svg) < 500_000
    assert ax.get_xlim() == (0, 3600)
    assert ax.get_xlabel() == "time, h:mm:ss"
    assert {"0:10:00", "0:50:00"} <= set(words(ax).splitlines())
    ET.fromstring(svg)  # noqa: S314


def test_another_process_gives_the_same_bytes() -> None:
    """Nothing depends on the order of hashes or on ``pyplot``, which is not imported."""
    code = (
        "import hashlib, sys, numpy\n"
        "from deepfake_audio import plots\n"
        "x = numpy.sin(numpy.arange(8000) ** 1.5)\n"
        "draw = [lambda ax: plots.waveform(ax, x, 8000, [(0.2, 0.4)]), lambda ax: plots.spectrogram(ax, x, 8000)]\n"
        "svg = plots.svg_text(plots.recording_figure(draw))\n"
        "print(hashlib.sha256(svg.encode()).hexdigest(), 'matplotlib.pyplot' in sys.modules)\n"
    )
    runs = [subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True) for _ in range(2)]
    assert runs[0].stdout == runs[1].stdout
    assert runs[0].stdout.split()[1] == "False"
    assert runs[0].stderr == ""


# --- waveform --------------------------------------------------------------------------------------------------


def test_a_short_signal_is_drawn_sample_by_sample() -> None:
    """Of few samples each is a point, in the middle of its time."""
    ax = waveform(plots.new_axis(), [0.1, -0.4, 0.2, 0.0], 4)
    assert np.allclose(ax.lines[0].get_xdata(), [0.125, 0.375, 0.625, 0.875])
    assert np.allclose(ax.lines[0].get_ydata(), [0.1, -0.4, 0.2, 0.0])
    assert "peak -8.0 dBFS" in words(ax)  # 20 log10 0.4


def test_no_click_is_lost_in_an_hour() -> None:
    """The envelope reaches the one loudest and the one lowest sample, at their times."""
    signal = HOUR.copy()
    signal[1_000 * RATE], signal[3_000 * RATE] = 0.9, -0.8
    (band,) = waveform(plots.new_axis(), signal, RATE).collections
    x, y = np.asarray(band.get_paths()[0].vertices).T
    assert (y.max(), y.min()) == pytest.approx((0.9, -0.8))
    column = 3600 / COLUMNS
    assert x[y.argmax()] == pytest.approx(1_000, abs=column)
    assert x[y.argmin()] == pytest.approx(3_000, abs=column)
    assert len(x) < 3 * COLUMNS


def test_a_part_of_a_waveform_is_drawn_at_its_time() -> None:
    """A part has the samples and the times of that part."""
    signal = np.arange(40) / 100
    ax = waveform(plots.new_axis(), signal, 4, part=(5.0, 7.0))
    assert np.allclose(ax.lines[0].get_xdata(), 5.125 + np.arange(8) / 4)
    assert np.allclose(ax.lines[0].get_ydata(), signal[20:28])
    assert ax.get_xlim() == (5, 7)
    assert waveform(plots.new_axis(), signal, 4, part=(9.0, 99.0)).get_xlim() == (9, 10)


def test_regions_are_hatched_where_they_are() -> None:
    """A region has colour, hatching and an outline, and the words say how many there are and how long."""
    ax = waveform(plots.new_axis(), SIGNAL, RATE, [(0.5, 1.0), (2.0, 3.0)])
    assert [(left, right) for left, _, right, _ in boxes(ax)] == [(0.5, 1.0), (2.0, 3.0)]
    for patch in ax.patches:
        assert patch.get_hatch()
        assert patch.get_linestyle() != "-"
        assert same_color(patch.get_edgecolor(), DEEPFAKE)
    assert "hatched, looks synthetic: 2 regions, 1.5 s in all" in words(ax)
    assert "hatched, looks synthetic: 1 region, 0.5 s in all" in words(
        waveform(plots.new_axis(), SIGNAL, RATE, [(0, 0.5)])
    )
    assert "hatched" not in words(waveform(plots.new_axis(), SIGNAL, RATE))


def test_digital_silence_has_a_waveform() -> None:
    """Silence has no peak in decibels."""
    assert "digital silence" in words(waveform(plots.new_axis(), silence(1.0, RATE), RATE))


# --- spectrogram -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate", "top"),
    [
        pytest.param(8_000, 4_000, id="half of a low sample rate"),
        pytest.param(16_000, 8_000, id="all of that of the models"),
        pytest.param(44_100, 8_000, id="a part of a high one"),
    ],
)
def test_a_sine_is_a_line_at_its_frequency_and_level(rate: int, top: float) -> None:
    """A sine of half of full scale has -6 dB at its frequency all through, and little two hundred hertz away."""
    ax = spectrogram(plots.new_axis(), sine(1_500.0, 2.0, rate), rate)
    levels = image(ax)
    hz = np.linspace(0, ax.get_ylim()[1] * 1000, len(levels))
    assert ax.get_ylim() == (0, top / 1000)
    inside = levels[:, 20:-20]
    assert np.abs(hz[inside.argmax(axis=0)] - 1_500).max() < 50
    assert inside.max() == pytest.approx(-6.0, abs=1.5)  # up to 1.4 dB less between two bins of a Hann window
    assert inside[np.abs(hz - 1_500) > 200].max() < -60


def test_a_tone_stands_at_its_time() -> None:
    """A tone of a tenth of a second fills the columns of that time."""
    signal = np.concatenate([silence(1.0, RATE), sine(1_000.0, 0.1, RATE), silence(1.9, RATE)])
    loud = np.flatnonzero(image(spectrogram(plots.new_axis(), signal, RATE)).max(axis=0) > -20)
    n = image(spectrogram(plots.new_axis(), signal, RATE)).shape[1]
    assert loud[0] / n * 3 == pytest.approx(1.0, abs=0.03)
    assert (loud[-1] + 1) / n * 3 == pytest.approx(1.1, abs=0.03)


@pytest.mark.parametrize("at", [1_000.0, 1_000.0123, 2_222.2])
def test_no_click_is_lost_in_the_spectrogram_of_an_hour(at: float) -> None:
    """A column has the loudest of all of its time."""
    signal = np.zeros(3600 * RATE, dtype=np.float32)
    signal[round(at * RATE)] = 1.0
    levels = image(spectrogram(plots.new_axis(), signal, RATE))
    loudest = levels.max(axis=0)
    assert loudest.argmax() == int(at / 3600 * COLUMNS)
    assert loudest.max() > np.sort(loudest)[-2] + 60 or loudest.argmax() + 1 == np.argsort(loudest)[-2]


def test_the_picture_in_an_svg_is_small() -> None:
    """There is one picture of pixels in the SVG, with no more columns than are drawn."""
    svg = plots.svg_text(figure(spectrogram(plots.new_axis(), HOUR, RATE)))
    (picture,) = ET.fromstring(svg).iter(f"{SVG}image")  # noqa: S314
    assert int(float(picture.get("width") or 0)) == COLUMNS
    assert int(float(picture.get("height") or 0)) <= 260


@pytest.mark.parametrize("signal", [silence(1.0, RATE), silence(1.0, RATE) + 1, np.zeros(1), noise(0.001, RATE)])
def test_odd_signals_have_a_spectrogram(signal: FloatArray) -> None:
    """Silence is white; what is constant or shorter than a frame can be drawn."""
    ax = spectrogram(plots.new_axis(), signal, RATE)
    (found,) = ax.images
    shown = np.asarray(found.cmap(found.norm(image(ax))))
    assert bool((shown == 1).all()) == (not signal.any())
    assert np.isfinite(shown).all()


# --- the explanation over it -----------------------------------------------------------------------------------


def test_cells_are_outlined_where_they_are() -> None:
    """Those that moved the score by a third of the strongest or more; none in the pause from 0.9 to 1.5 s."""
    ax = spectrogram(plots.new_axis(), SIGNAL, RATE, explanation(CHANGE))
    assert boxes(ax) == [
        (2, 0, 3, 2),  # -1.0
        (2, 2, 3, 4),  # -0.4
        (0, 0, 0.9, 2),  # 0.35: from 0 to 1 s, but for the pause
        (1.5, 2, 2, 4),  # 0.7
    ]


def test_what_a_cell_speaks_for_shows_without_colour() -> None:
    """Deepfake and genuine differ in colour, hatching and outline; of the strongest cells hatching is denser."""
    ax = spectrogram(plots.new_axis(), SIGNAL, RATE, explanation(CHANGE))
    strong_deepfake, weak_deepfake, weak_genuine, strong_genuine = (p for p in ax.patches if p.get_hatch())
    for patch, colour, stroke, line in (
        (weak_genuine, GENUINE, "/", "-"),
        (strong_genuine, GENUINE, "/", "-"),
        (weak_deepfake, DEEPFAKE, "\\", None),
        (strong_deepfake, DEEPFAKE, "\\", None),
    ):
        assert same_color(patch.get_edgecolor(), colour)
        assert set(patch.get_hatch() or "") == {stroke}
        assert (patch.get_linestyle() == line) == (line is not None)
    assert len(strong_genuine.get_hatch() or "") > len(weak_genuine.get_hatch() or "")
    assert len(strong_deepfake.get_hatch() or "") > len(weak_deepfake.get_hatch() or "")
    assert legend(ax) == ["speaks for deepfake", "speaks for genuine"]


def test_the_words_tell_the_numbers() -> None:
    """The note gives the log-likelihood ratio and the strongest region of either kind."""
    text = words(spectrogram(plots.new_axis(), SIGNAL, RATE, explanation(CHANGE)))
    assert "log-likelihood ratio -1.50; of noise with this spectrogram 0.25\n" in text
    assert "strongest: 1.00 for deepfake, 0.70 for genuine" in text
    ax = spectrogram(plots.new_axis(), SIGNAL, RATE, explanation(-np.abs(CHANGE)))
    assert "strongest: 1.00 for deepfake;" in words(ax)
    assert legend(ax) == ["speaks for deepfake"]


def test_regions_that_hardly_matter_are_not_drawn() -> None:
    """Where nothing moves the score, the picture says so."""
    ax = spectrogram(plots.new_axis(), SIGNAL, RATE, explanation(CHANGE / 60))
    assert not boxes(ax)
    assert "no region moves it by 0.02 or more" in words(ax)


def test_a_part_that_is_explained_is_named() -> None:
    """Of a recording that is longer than what was explained, the words say which part that is."""
    assert "explained" not in words(spectrogram(plots.new_axis(), SIGNAL, RATE, explanation(CHANGE)))
    ax = spectrogram(plots.new_axis(), np.tile(SIGNAL, 30), RATE, explanation(CHANGE))
    assert "explained: 0:00 to 0:03" in words(ax)
    assert boxes(ax)


def test_regions_too_narrow_to_be_seen_are_left_to_a_picture_of_their_part() -> None:
    """In a long recording the part that is explained is marked; a picture of that part shows its regions."""
    long = np.tile(SIGNAL, 60)
    found = explanation(CHANGE, starts=np.array([150.0, 151, 152]), ends=np.array([151.0, 152, 153]))
    found.speech = found.speech + 150
    whole = spectrogram(plots.new_axis(), long, RATE, found)
    assert not boxes(whole)
    (mark,) = whole.patches
    assert isinstance(mark, Rectangle)
    assert (mark.get_x(), mark.get_width()) == pytest.approx((150, 3))
    assert "explained: 2:30 to 2:33" in words(whole)
    assert legend(whole) == ["explained"]
    part = spectrogram(plots.new_axis(), long, RATE, found, part=(150.0, 153.0))
    assert part.get_xlim() == (150, 153)
    assert part.get_xlabel() == "time, min:s"
    assert [part.xaxis.get_major_formatter()(tick, 0) for tick in (150, 151)] == ["2:30", "2:31"]
    assert {150, 151, 152, 153} <= set(part.xaxis.get_majorticklocs().tolist())
    assert [(left, right) for left, _, right, _ in boxes(part)] == [(152, 153), (152, 153), (150, 150.9), (151.5, 152)]
    assert np.array_equal(image(part), image(spectrogram(plots.new_axis(), long[150 * RATE : 153 * RATE], RATE)))


# --- scores ----------------------------------------------------------------------------------------------------


def marks(ax: Axes) -> dict[str, list[tuple[float, float]]]:
    """Return the marks by their shape."""
    shown = {str(line.get_marker()): points(line) for line in ax.lines}
    return {shape: places for shape, places in shown.items() if shape != "None" and places}


def test_windows_are_marks_by_their_side_of_the_threshold() -> None:
    """Triangles above, circles below, squares where the verdict would be inconclusive; in the middle of each window."""
    ax = score_timeline(plots.new_axis(), [[0, 2], [2, 4], [4, 6], [6, 9]], [0.95, 0.6, 0.4, 0.02], 0.0, np.log(2))
    assert marks(ax) == {"^": [(1, 0.95)], "s": [(3, 0.6), (5, 0.4)], "o": [(7.5, 0.02)]}
    assert "4 windows, 1 on the side of deepfake; each alone is an indication" in words(ax)
    assert ax.get_xlim() == (0, 9)
    (zone,) = (patch for patch in ax.patches if isinstance(patch, Rectangle))
    assert (zone.get_y(), zone.get_y() + zone.get_height()) == pytest.approx((1 / 3, 2 / 3))  # odds of 2 to 1
    assert legend(ax) == ["threshold: 50.0 %", "inconclusive"]


@pytest.mark.parametrize("threshold", [-3.0, 0.0, 1.5, -np.inf, np.inf])
def test_the_threshold_is_drawn_as_a_probability(threshold: float) -> None:
    """A log-likelihood ratio becomes the probability of ``calibration.p_deepfake``."""
    ax = score_timeline(plots.new_axis(), [1.0, 2.0], [0.2, 0.3], threshold)
    assert [y for _, y in points(ax.lines[0])] == pytest.approx([p_deepfake(threshold)] * 2)
    assert "inconclusive" not in legend(ax)


def test_windows_that_do_not_overlap_are_as_wide_as_they_are() -> None:
    """Bars tell how long windows are, unless they overlap and would hide each other."""
    beside = score_timeline(plots.new_axis(), np.array([[0, 2], [2.5, 4]]), [0.1, 0.2])
    (bars,) = (lines for lines in beside.collections if len(lines.get_paths()))
    assert [np.asarray(path.vertices).tolist() for path in bars.get_paths()] == [
        [[0, 0.1], [2, 0.1]],
        [[2.5, 0.2], [4, 0.2]],
    ]
    assert not score_timeline(plots.new_axis(), [[0, 2], [1, 3]], [0.1, 0.2]).collections


def test_scores_of_an_hour_keep_their_extremes() -> None:
    """One window of ten thousand is seen; the words say what line and shade are."""
    p = np.full(10_000, 0.2)
    p[7_000] = 0.97
    ax = score_timeline(plots.new_axis(), np.arange(10_000) * 0.36, p)
    assert np.asarray(ax.collections[0].get_paths()[0].vertices)[:, 1].max() == 0.97
    assert not marks(ax)
    assert "10,000 windows, 1 on the side of deepfake" in words(ax)
    assert "line: medians of 4.5 s each; shaded: all of their values" in words(ax)


# --- pitch and level -------------------------------------------------------------------------------------------


def test_pitch_has_gaps_where_there_is_no_voice() -> None:
    """The line breaks at NaN, and a single frame between two breaks is a dot."""
    nan = np.nan
    ax = pitch_track(plots.new_axis(), [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], [100, 200, nan, 150, nan, nan])
    line, dots = ax.lines
    assert np.array_equal(np.asarray(line.get_ydata()), [100, 200, nan, 150, nan, nan], equal_nan=True)
    assert (list(dots.get_xdata()), list(dots.get_ydata())) == ([0.4], [150])  # type: ignore[arg-type]
    assert "median 150 Hz; nine tenths between 105 and 195 Hz" in words(ax)  # 100, 150, 200: 5 % is 100 + 0.1 * 50


def test_no_voice_is_said() -> None:
    """Without any pitch there is an empty axis that says why."""
    ax = pitch_track(plots.new_axis(), [0.1, 0.2], [np.nan, np.nan])
    assert "no voice was found" in words(ax)


def test_pitch_of_an_hour_is_not_that_of_its_errors() -> None:
    """One frame in fifty an octave too high does not show in an hour, and breaks stay breaks."""
    hz = np.full(360_000, 120.0)
    hz[::50] = 240.0
    hz[90_000:180_000] = np.nan
    ax = pitch_track(plots.new_axis(), np.arange(360_000) / 100, hz)
    x, y = (np.asarray(data) for data in ax.lines[0].get_data())
    assert len(x) == COLUMNS
    assert np.isnan(y[(x > 910) & (x < 1790)]).all()
    assert set(y[(x < 890) | (x > 1810)]) == {120.0}
    assert "shaded: 90 % of their values" in words(ax)


def test_level_by_hand() -> None:
    """The loudest is told, and how much of the time is as good as silent; nothing is drawn below -100 dBFS."""
    ax = level_track(plots.new_axis(), [0.1, 0.2, 0.3, 0.4], [-20.0, -120.0, -35.0, -40.0])
    assert list(np.asarray(ax.lines[0].get_ydata())) == [-20, -100, -35, -40]
    assert "at most -20 dBFS; 25.0 % of the time no more than -100 dBFS" in words(ax)
    assert "at most" not in words(level_track(plots.new_axis(), [0.1], [-120.0]))


# --- figures ---------------------------------------------------------------------------------------------------


def stacked() -> Figure:
    """Return a figure of all pictures, the spectrogram twice as high."""
    return recording_figure(list(DRAW.values()), heights=[1.0, 2.0, 1.0, 1.0, 1.0], width=6.0)


def test_panels_stand_below_each_other_over_one_time() -> None:
    """All have the same left and right edge and the same times; only the lowest has words for them."""
    fig = stacked()
    width, height = fig.get_size_inches()
    places = [ax.get_position() for ax in fig.axes]
    assert [ax.get_title(loc="left") for ax in fig.axes] == [
        "Waveform",
        "Spectrogram",
        "Scores of windows",
        "Pitch",
        "Level",
    ]
    assert {round(place.x0 * width, 6) for place in places} == {0}
    assert {round(place.x1 * width, 6) for place in places} == {6}
    assert [place.height * height for place in places] == pytest.approx([1, 2, 1, 1, 1])
    assert all(upper.y0 > lower.y1 for upper, lower in itertools.pairwise(places))
    assert len({ax.get_xlim() for ax in fig.axes}) == 1
    assert [ax.get_xlabel() for ax in fig.axes] == [*[""] * 4, "time, s"]


def test_the_longest_panel_gives_the_time() -> None:
    """Scores end with the last window and pitch with the last frame, the recording does not."""
    fig = recording_figure(
        [lambda ax: pitch_track(ax, [0.5], [99.0]), lambda ax: waveform(ax, silence(300.0, 100), 100)]
    )
    assert [ax.get_xlim() for ax in fig.axes] == [(0, 300), (0, 300)]
    assert fig.axes[-1].get_xlabel() == "time, min:s"


def test_all_panels_show_the_same_part() -> None:
    """A part of a figure is the same part of all panels, also of those that hold more."""
    draw = [lambda ax: waveform(ax, SIGNAL, RATE, part=(1.0, 2.0)), DRAW["pitch_track"]]
    assert [ax.get_xlim() for ax in recording_figure(draw, part=(1.0, 2.0)).axes] == [(1, 2), (1, 2)]
    assert [ax.get_xlim()[0] for ax in recording_figure(draw[:1]).axes] == [1]


def test_no_text_covers_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that is written in a figure of many panels can be read, and lies on the picture."""
    places: list[tuple[str, Any]] = []
    draw = Text.draw

    def noted(text: Text, renderer: Any) -> None:
        if text.get_visible() and text.get_text().strip():
            places.append((text.get_text(), text.get_window_extent(renderer)))
        draw(text, renderer)

    canvas = FigureCanvasAgg(stacked())
    monkeypatch.setattr(Text, "draw", noted)
    with style():
        canvas.draw()
    assert len(places) > 30
    covered = [
        (one, other)
        for number, (one, here) in enumerate(places)
        for other, there in places[:number]
        if min(here.x1, there.x1) - max(here.x0, there.x0) > 1 and min(here.y1, there.y1) - max(here.y0, there.y0) > 1
    ]
    assert not covered


def test_labels_are_aligned_beside_all_numbers() -> None:
    """The words for the vertical axes stand below each other, left of the widest numbers of any."""
    small = lambda ax: pitch_track(ax, [0.1, 0.2], [1.0, 2.0])  # noqa: E731
    large = lambda ax: level_track(ax, [0.1, 0.2], [-120.0, -99.0])  # noqa: E731
    wide = lambda ax: waveform(ax, 1e-3 * SIGNAL, RATE)  # noqa: E731
    fig = recording_figure([small, large, wide])
    renderer = FigureCanvasAgg(fig).get_renderer()
    with style():
        fig.draw(renderer)
    labels = [ax.yaxis.label.get_window_extent(renderer) for ax in fig.axes]
    numbers = [text.get_window_extent(renderer) for ax in fig.axes for text in ax.get_yticklabels()]
    assert max(label.x1 for label in labels) < min(number.x0 for number in numbers)
    assert np.ptp([label.x1 for label in labels]) < 1


def test_words_lie_beside_the_pictures() -> None:
    """Titles, notes and legends of a panel stay clear of what is drawn in the others."""
    fig = stacked()
    renderer = FigureCanvasAgg(fig).get_renderer()
    for ax in fig.axes:
        around = ax.get_tightbbox(renderer)
        assert around is not None
        for other in fig.axes:
            inside = other.get_window_extent(renderer)
            assert other is ax or around.y0 >= inside.y1 - 1 or around.y1 <= inside.y0 + 1


# --- what cannot be drawn --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        pytest.param(lambda ax: waveform(ax, [], RATE), "no signal to draw", id="no samples"),
        pytest.param(lambda ax: waveform(ax, np.zeros((4, 2)), RATE), "shape n, not 4 x 2", id="two channels"),
        pytest.param(lambda ax: waveform(ax, SIGNAL, RATE, part=(5, 6)), "no signal to draw", id="behind the end"),
        pytest.param(lambda ax: waveform(ax, [0.0, np.nan], RATE), "NaN or infinity", id="NaN"),
        pytest.param(lambda ax: spectrogram(ax, [0.0, np.inf], RATE), "NaN or infinity", id="infinity"),
        pytest.param(lambda ax: spectrogram(ax, [0.0], 0), "above 0 Hz, not 0", id="no sample rate"),
        pytest.param(lambda ax: waveform(ax, [0.0], RATE, [(1, 1)]), "end after its start", id="empty region"),
        pytest.param(lambda ax: waveform(ax, [0.0], RATE, [(1, np.nan)]), "regions hold NaN", id="endless region"),
        pytest.param(lambda ax: score_timeline(ax, [], []), "no times", id="no windows"),
        pytest.param(lambda ax: score_timeline(ax, [1, 2], [0.5]), "shape 2", id="fewer scores than windows"),
        pytest.param(lambda ax: score_timeline(ax, [1], [1.5]), "between 0 and 1", id="no probability"),
        pytest.param(lambda ax: score_timeline(ax, [[1, 2, 3]], [0.5]), "shape n x 2", id="three times of a window"),
        pytest.param(
            lambda ax: pitch_track(ax, [1, 2], [100.0]), "2 times and values of the shape", id="fewer pitches"
        ),
        pytest.param(lambda ax: pitch_track(ax, [2, 1], [100.0, 100.0]), "in order", id="backwards"),
        pytest.param(lambda ax: pitch_track(ax, [1], [0.0]), "above 0 Hz", id="no pitch"),
        pytest.param(lambda ax: level_track(ax, [1], [np.nan]), "levels hold NaN", id="no level"),
        pytest.param(lambda ax: recording_figure([]), "nothing to draw", id="no panels"),  # noqa: ARG005
    ],
)
def test_what_cannot_be_drawn(draw: Callable[[Axes], object], message: str) -> None:
    """Input that is no recording is refused in one line."""
    with pytest.raises(MetricError, match=message):
        draw(plots.new_axis())
