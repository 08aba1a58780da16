"""Drawings of models: every stage is there, no text leaves its box, no line goes through one."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from graphs import KINDS, MEL, WINDOW, fusion, kernel_machine, made_model, metadata_of, network
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patches import Rectangle
from onnx import helper
from PIL import Image

from deepfake_audio.assembly import Branch, assembled
from deepfake_audio.errors import ModelFileError, OutputError
from deepfake_audio.inspection import Inspection, inspect_model
from deepfake_audio.modelfile import SHIPPED, read_model, write_model
from deepfake_audio.reports import drawing
from deepfake_audio.reports.architecture import titles
from deepfake_audio.reports.drawing import draw, save_drawing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.figure import Figure

MODELS = ("fusion", "network", "machine", "foreign")
SVG = "{http://www.w3.org/2000/svg}"


def inspected(name: str, path: Path) -> Inspection:
    """Look into a shipped model, or into one that is made here."""
    if name in SHIPPED:
        return inspect_model(read_model(name))
    if name == "fusion":
        model, metadata = fusion()
    elif name == "network":
        model, metadata = assembled([Branch((MEL,), [network()])], WINDOW), metadata_of((MEL,))
    elif name == "machine":
        kinds = (*KINDS, *(dataclasses.replace(KINDS[1], n_bands=20 + number) for number in range(6)))
        model, metadata = (
            assembled([Branch(kinds, [kernel_machine(kinds=kinds)])], WINDOW),
            metadata_of(kinds, familiarity=0.5),
        )
    else:
        node = helper.make_node("ReduceMean", ["signal"], ["score"], axes=[1], keepdims=0)
        model, metadata = made_model([node], {}, {"signal": ["n", WINDOW]}), metadata_of()
    write_model(path / f"{name}.onnx", model, metadata)
    return inspect_model(read_model(path / f"{name}.onnx"))


def texts(figure: Figure) -> list[str]:
    """Return what is written in a drawing."""
    (ax,) = figure.axes
    return [text.get_text() for text in ax.texts]


@pytest.fixture(scope="module", params=[*SHIPPED, *MODELS])
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Inspection:
    """Return one model after the other."""
    return inspected(request.param, tmp_path_factory.mktemp("models"))


def test_every_stage_is_drawn(found: Inspection) -> None:
    """Each stage of each part is named once, from the waveform to the verdict; copies and mere joints are not."""
    written = texts(draw(found))
    expected = [stage.name for stage in found.stages if stage.part in titles(found) and stage.name != "together"]
    for name in ("waveform", *expected, "calibration", "verdict"):
        assert written.count(name) == ("waveform", *expected).count(name) or name in ("calibration", "verdict")
    assert written.count("calibration") == written.count("verdict") == 1
    for stage in found.stages:
        for words in stage.words.split("; ") if stage.name in expected and stage.kind != "score" else ():
            assert words.split(" ")[0] in " ".join(written)


def test_no_text_leaves_its_box(found: Inspection) -> None:
    """As it is rendered, each text lies in a box, or is the name of a frame; and no text lies on another."""
    figure = draw(found)
    (ax,) = figure.axes
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [patch.get_window_extent(renderer) for patch in ax.patches if isinstance(patch, Rectangle)]
    extents = [text.get_window_extent(renderer) for text in ax.texts if text.get_text()]
    for text, extent in zip((t for t in ax.texts if t.get_text()), extents, strict=True):
        inside = any(
            box.x0 <= extent.x0 and extent.x1 <= box.x1 and box.y0 <= extent.y0 and extent.y1 <= box.y1 for box in boxes
        )
        assert inside, text.get_text()
    for number, first in enumerate(extents):
        for second in extents[:number]:
            # Boxes of letters with room above and below may touch.
            assert not first.shrunk(0.98, 0.8).overlaps(second.shrunk(0.98, 0.8))


@pytest.mark.parametrize("downwards", [True, False])
def test_boxes_and_lines_keep_apart(found: Inspection, downwards: bool) -> None:  # noqa: FBT001
    """Whichever way layers follow each other, no box lies on another, and lines end at boxes and cross none."""
    diagram = drawing._diagram(found, titles(found))
    drawn = drawing._drawing(diagram, downwards=downwards)
    for number, first in enumerate(drawn.boxes):
        assert 0 < first.left < first.left + first.width < drawn.width
        assert 0 < first.top < first.top + first.height < drawn.height
        for second in drawn.boxes[:number]:
            assert not _overlap(first, second)
    for (start, end), path in zip(diagram.lines, drawn.paths, strict=True):
        points = _along(path)
        for number, box in enumerate(drawn.boxes):
            assert _depth(points, box).max() < 1e-6, (start, end, box.title)
            touches = (np.abs(_depth(points[[0, -1]], box)) < 1e-6).tolist()
            assert touches == [number == start, number == end]


def _overlap(a: Any, b: Any) -> bool:
    beside = a.left >= b.left + b.width or b.left >= a.left + a.width
    return not (beside or a.top >= b.top + b.height or b.top >= a.top + a.height)


def _depth(points: Any, box: Any) -> Any:
    """Return how far points are from the nearest side of a box: more than 0 within, less outside."""
    x, y = points[:, 0], points[:, 1]
    sides = [x - box.left, box.left + box.width - x, y - box.top, box.top + box.height - y]
    return np.minimum.reduce(sides)


def _along(path: Sequence[tuple[str, float, float]]) -> Any:
    """Return points of a line, by the definition of a straight line and of a cubic Bézier curve."""
    corners = [np.array(corner[1:]) for corner in path]
    share = np.linspace(0, 1, 50)[:, np.newaxis]
    points, place = [corners[:1]], 1
    while place < len(path):
        at = corners[place - 1]
        if path[place][0] == "LINETO":
            points.append((1 - share) * at + share * corners[place])
            place += 1
        else:
            assert [code for code, *_ in path[place : place + 3]] == ["CURVE4"] * 3
            a, b, c = corners[place : place + 3]
            rest = 1 - share
            points.append(rest**3 * at + 3 * rest**2 * share * a + 3 * rest * share**2 * b + share**3 * c)
            place += 3
    return np.concatenate(points)


def test_kernels_stand_beside_what_they_read(tmp_path: Path) -> None:
    """Each kernel has a line from its kind of features, not from all of them put end to end."""
    found = inspected("machine", tmp_path)
    diagram = drawing._diagram(found, titles(found))
    names = [box.title for box in diagram.boxes]
    assert "together" not in names
    pairs = [(names[a], names[b]) for a, b in diagram.lines if names[b].startswith("kernel of")]
    assert len(pairs) == 9
    assert all(kernel == f"kernel of {kind}" for kind, kernel in pairs)
    drawn = drawing._drawing(diagram, downwards=False)
    middle = {box.title: box.top + box.height / 2 for box in drawn.boxes}
    for kind, kernel in pairs:
        assert middle[kind] == pytest.approx(middle[kernel])


def test_networks_of_one_make_are_drawn_once(tmp_path: Path) -> None:
    """The frame around the one that is drawn says how many there are; members have frames of their own."""
    written = texts(draw(inspected("fusion", tmp_path)))
    assert written.count("convolution 1") == 1
    for title in ("member 1: front end", "member 1: classifier", "member 2: 3 classifiers, each of them"):
        assert title in written


def test_what_a_box_says(tmp_path: Path) -> None:
    """Shape, words, parameters and cost of a stage; calibration, threshold and familiarity of the model."""
    written = texts(draw(inspected("fusion", tmp_path)))
    for words in (
        "8,000",
        "windows of 0.5 s at 16,000 Hz",
        "4 x 5 x 10",
        "40 parameters, 7,560 MAC",
        "1 parameter",
        "mean, std over the frames",
        "FFT 256, window 256 (16 ms), hop 200 (12.5 ms)",
        "weighted sum of 2 members",
        "2 x mean over the windows - 0.5",
        "deepfake: llr below 0.250, P above 43.8 %",
        "inconclusive: within 0.500 of that",
        "or familiarity below 0.1000",
    ):
        assert words in written, words


@pytest.mark.parametrize("name", ["$x_1$ and $y", "back\\slash", "声 of 100 " + "x" * 80, "<svg>&amp;"])
def test_names_cannot_break_a_drawing(name: str, tmp_path: Path) -> None:
    """Whatever a model calls itself stands in the headline as it is, and the files can be read."""
    found = inspected("foreign", tmp_path)
    found = dataclasses.replace(found, metadata=dataclasses.replace(found.metadata, name=name))
    for suffix in ("png", "svg"):
        save_drawing(found, tmp_path / f"a.{suffix}")
    words = "".join(ET.parse(tmp_path / "a.svg").getroot().itertext())  # noqa: S314 - our own
    assert f"{name}: 0 parameters" in words


def test_files(tmp_path: Path) -> None:
    """A PNG and an SVG can be read by others, and the same model gives the same bytes; any other suffix is refused."""
    found = inspected("network", tmp_path)
    for suffix in ("png", "svg", "PNG"):
        save_drawing(found, tmp_path / f"a.{suffix}")
        save_drawing(found, tmp_path / f"b.{suffix}")
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()
    with Image.open(tmp_path / "a.PNG") as image:
        assert image.format == "PNG"
        assert min(image.size) > 500
    root = ET.parse(tmp_path / "a.svg").getroot()  # noqa: S314 - our own
    assert root.tag == f"{SVG}svg"
    assert "convolution 1" in "".join(root.itertext())
    before = {path.name for path in tmp_path.iterdir()}
    for name in ("a.pdf", "a", "png"):
        with pytest.raises(OutputError, match=r"ends in \.png or \.svg"):
            save_drawing(found, tmp_path / name)
    with pytest.raises(OutputError, match="cannot be written"):
        save_drawing(found, tmp_path / "nowhere" / "a.png")
    assert {path.name for path in tmp_path.iterdir()} == before


def test_too_much_to_draw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph of more stages than a page holds is refused in one line."""
    found = inspected("network", tmp_path)
    monkeypatch.setattr(drawing, "MOST_STAGES", 3)
    with pytest.raises(ModelFileError, match=r"network\.onnx: has 9 stages, too many to draw \(at most 3\)"):
        draw(found)
