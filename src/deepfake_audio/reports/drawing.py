"""
A drawing of a model: from the waveform to the verdict, a box for each stage.

Stages lie in layers, each after those that it reads. A line that passes a layer has a place of its own there, so that
none goes through a box. The members of a model lie side by side; classifiers that are built alike are drawn once.
Layers follow each other downwards or to the right, whichever fits a page better.
"""

from __future__ import annotations

import functools
import itertools
import math
import tempfile
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepfake_audio import plots
from deepfake_audio.calibration import p_deepfake
from deepfake_audio.errors import ModelFileError, OutputError, printable
from deepfake_audio.files import replacing
from deepfake_audio.inspection import alike
from deepfake_audio.reports.architecture import shaped, titles
from deepfake_audio.reports.layout import Layout, Node, lay_out

if TYPE_CHECKING:
    import os
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from deepfake_audio.inspection import Inspection, Part, Stage

SUFFIXES = (".png", ".svg")
MOST_STAGES = 250

# Lengths are in inches, sizes of letters in points.
_TITLE_SIZE, _TEXT_SIZE, _LEADING = 8.5, 7.0, 1.4
_NARROWEST, _WIDEST_BELOW, _WIDEST_BESIDE, _PADDING = 1.2, 2.7, 3.1, 0.08
_BESIDE, _BELOW, _AFTER, _BETWEEN_PARTS, _BETWEEN_MEMBERS = 0.14, 0.32, 0.7, 0.62, 0.5
_FRAME, _FRAME_TITLE, _MARGIN = 0.1, 0.18, 0.15
_SLOT = 0.1  # what a line takes that passes a layer
_FEW = 100_000  # multiply-accumulates
_PAGE = 1.5  # width by height
_POINT = 1 / 72
_ROOM = 1.05  # letters on a grid of dots, or in a viewer's own font, are not as wide as they were drawn
_FONT = "DejaVu Sans"  # that of all our plots
# Tints on which black can be read, by what a box is part of.
_FILLS = {"front end": "#DCEBF7", "classifier": "#FCE8D5", "score": "#E3F1E6"}
_OTHER_FILL, _LINE, _FRAME_LINE = "#EEEEEE", "#404040", "#8C8C8C"


@dataclass
class _Box:
    """What is written into a box, and where it is."""

    title: str
    corner: str
    lines: list[str]
    part: Part | None = None
    layer: int = 0
    left: float = 0.0
    top: float = 0.0
    width: float = 0.0
    height: float = 0.0

    @property
    def band(self) -> int:
        """The member of the model, or 0 for what is of all."""
        return (self.part.member if self.part else None) or 0


# Corners of a line: how to get there (as matplotlib names it), x and y.
Corner = tuple[str, float, float]


@dataclass(frozen=True)
class _Drawing:
    """Boxes and lines with their places."""

    boxes: list[_Box]
    paths: list[list[Corner]]
    width: float
    height: float


@dataclass
class _Diagram:
    """Boxes, and lines from one to another, by their places."""

    boxes: list[_Box] = field(default_factory=list)
    lines: list[tuple[int, int]] = field(default_factory=list)

    def add(self, box: _Box, sources: Iterable[int]) -> int:
        """Add a box in a layer after those that it follows and after the parts before its own; return its place."""
        before = [other.layer for other in self.boxes if box.part and other.part != box.part and other.band == box.band]
        sources = sorted(set(sources))
        box.layer = 1 + max([-1, *before, *(self.boxes[source].layer for source in sources)])
        self.boxes.append(box)
        place = len(self.boxes) - 1
        self.lines += [(source, place) for source in sources]
        return place


def draw(inspection: Inspection) -> Figure:
    """
    Draw a model as a figure of matplotlib.

        ModelFileError: If there is too much to draw.
    """
    ax = plots.new_axis(1, 1)
    parts = titles(inspection)
    n_stages = sum(stage.part in parts for stage in inspection.stages)
    if n_stages > MOST_STAGES:
        raise ModelFileError(f"{inspection.path}: has {n_stages:,} stages, too many to draw (at most {MOST_STAGES})")
    diagram = _diagram(inspection, parts)
    drawings = [_drawing(diagram, downwards=downwards) for downwards in (True, False)]
    drawing = min(drawings, key=lambda each: abs(math.log(each.width / each.height / _PAGE)))
    figure = ax.get_figure(root=True)
    assert figure is not None  # noqa: S101 - a new axis has one
    figure.set_size_inches(drawing.width, drawing.height)
    ax.set(position=(0, 0, 1, 1), xlim=(0, drawing.width), ylim=(drawing.height, 0))
    ax.set_axis_off()
    for path in drawing.paths:
        _draw_line(ax, path)
    _draw_frames(ax, drawing.boxes, parts)
    for box in drawing.boxes:
        _draw_box(ax, box)
    ax.set_title(_headline(inspection), loc="left", fontsize=10, parse_math=False)
    return figure


def save_drawing(inspection: Inspection, path: str | os.PathLike[str]) -> None:
    """
    Draw a model to a file, whole or not at all.

    Args:
        inspection: What was found in it.
        path: Where to; its suffix, one of ``SUFFIXES``, is the format.

        ModelFileError: If there is too much to draw.
        OutputError: If it cannot be written, or has another suffix.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise OutputError(f"{path}: a drawing is written to a file whose name ends in {' or '.join(SUFFIXES)}")
    figure = draw(inspection)
    with tempfile.TemporaryDirectory(prefix="deepfake-audio-") as directory:
        png, svg = plots.save(figure, directory, "architecture")
        content = (png if suffix == ".png" else svg).read_bytes()
    with replacing(path) as stream:
        stream.write(content)


# --- what is drawn ---------------------------------------------------------------------------------------------


def _diagram(inspection: Inspection, parts: Collection[Part]) -> _Diagram:
    metadata, stages = inspection.metadata, inspection.stages
    diagram = _Diagram()
    window, rate = metadata.window_samples, metadata.sample_rate
    waveform = diagram.add(_Box("waveform", f"{window:,}", [f"windows of {window / rate:g} s at {rate:,} Hz"]), ())
    pairs = _pairs(stages)
    first_of = {copy: first for first, like in alike(stages).items() for copy in like}
    drawn: dict[tuple[Part, int], list[int]] = {}  # boxes, by part and place in it
    boxes_of: dict[int, list[int]] = {}  # by stage
    seen: Counter[Part] = Counter()
    for number, stage in enumerate(stages):
        key = (first_of.get(stage.part, stage.part), seen[stage.part])
        seen[stage.part] += 1
        read = [pairs[number]] if number in pairs else stage.reads
        sources = [box for place in read for box in boxes_of.get(place, ())] or [waveform]
        if key not in drawn:
            skipped = stage.part not in parts or _is_paired(stage, pairs)
            drawn[key] = sources if skipped else [diagram.add(_box(stage), sources)]
        boxes_of[number] = drawn[key]
    unread = set(range(len(diagram.boxes))) - {source for source, _ in diagram.lines}
    scale, offset = metadata.calibration.scale, metadata.calibration.offset
    line = f"{scale:.4g} x mean over the windows {'-+'[offset >= 0]} {abs(offset):.4g}"
    calibration = diagram.add(_Box("calibration", "llr", [line]), unread)
    p = 100 * p_deepfake(metadata.threshold)
    lines = [f"deepfake: llr below {metadata.threshold:.3f}, P above {p:.1f} %"]
    lines.append(f"inconclusive: within {metadata.margin:.3f} of that")
    lines += [] if metadata.familiarity is None else [f"or familiarity below {metadata.familiarity:.4f}"]
    diagram.add(_Box("verdict", "", lines), [calibration])
    return diagram


def _pairs(stages: Sequence[Stage]) -> dict[int, int]:
    """Return which kind of features each kernel reads; they lie end to end in the order of the kernels."""
    readers: dict[int, list[int]] = {}
    for number, stage in enumerate(stages):
        for read in stage.reads:
            readers.setdefault(read, []).append(number)
    found: dict[int, int] = {}
    for number, kernels in readers.items():
        reads = stages[number].reads
        if _is_together(stages[number]) and [stages[k].kind for k in kernels] == ["kernel"] * len(reads):
            found |= dict(zip(kernels, reads, strict=True))
    return found


def _is_together(stage: Stage) -> bool:
    return stage.kind == "concatenation" and stage.part.kind == "front end"


def _is_paired(stage: Stage, pairs: dict[int, int]) -> bool:
    """Return whether a stage only puts end to end what is drawn with a line of its own."""
    return _is_together(stage) and set(pairs.values()).issuperset(stage.reads)


def _box(stage: Stage) -> _Box:
    numbers = "constant" if stage.part.kind == "front end" else "parameter"
    amounts = [f"{stage.n_parameters:,} {numbers}{'s' * (stage.n_parameters > 1)}"] if stage.n_parameters else []
    if stage.macs:
        amounts.append(f"{stage.macs / 1e6:,.2f} M MAC" if stage.macs >= _FEW else f"{stage.macs:,} MAC")
    lines = [*stage.words.split("; "), ", ".join(amounts)]
    return _Box(stage.name, shaped(stage.output), [line for line in lines if line], stage.part)


# --- where it lies ---------------------------------------------------------------------------------------------


def _drawing(diagram: _Diagram, *, downwards: bool) -> _Drawing:
    """Give each box a size and a place, with layers below or beside each other."""
    boxes = _sized(diagram.boxes, downwards=downwards)
    nodes = [
        Node(box.layer, *((box.height, box.width) if downwards else (box.width, box.height)), box.band) for box in boxes
    ]
    parts = [{box.part for box in boxes if box.layer == layer} for layer in range(1 + max(box.layer for box in boxes))]
    within = _BELOW if downwards else _AFTER
    gaps = [0.0, *(within if a == b else _BETWEEN_PARTS for a, b in itertools.pairwise(parts))]
    layout = lay_out(nodes, diagram.lines, gaps, beside=_BESIDE, between_bands=_BETWEEN_MEMBERS, slot=_SLOT)

    def at(along: float, across: float) -> tuple[float, float]:
        x, y = (across, along) if downwards else (along, across)
        return x + _MARGIN, y + _MARGIN + _FRAME_TITLE

    for box, node in zip(boxes, layout.nodes, strict=False):
        x, y = at(node.along, node.across)
        box.left, box.top = x - box.width / 2, y - box.height / 2
    paths = [[(code, *at(*corner)) for code, *corner in _corners(layout, chain)] for chain in layout.chains]
    width, height = at(layout.ends[-1], layout.breadth)
    return _Drawing(boxes, paths, width + _MARGIN, height + _MARGIN)


def _sized(boxes: Sequence[_Box], *, downwards: bool) -> list[_Box]:
    """Break the lines of boxes and make those that lie in one line, downwards or across the page, equally large."""
    layers: dict[int, list[_Box]] = {}
    for box in boxes:
        layers.setdefault(box.layer, []).append(box)
    widest = _WIDEST_BELOW if downwards else _WIDEST_BESIDE
    widths = {layer: min(widest, max(map(_natural_width, own))) for layer, own in layers.items()}
    if downwards:
        widths = dict.fromkeys(widths, max(widths.values()))
    found = [replace(box, width=widths[box.layer], lines=_broken(box, widths[box.layer])) for box in boxes]
    # Beside each other, boxes of one height make rows that go on from layer to layer.
    rows = [box.layer if downwards or len(layers[box.layer]) == 1 else -1 for box in found]
    n_lines = dict.fromkeys(rows, 0)
    for box, row in zip(found, rows, strict=True):
        n_lines[row] = max(n_lines[row], len(box.lines))
    return [replace(box, height=_height(n_lines[row])) for box, row in zip(found, rows, strict=True)]


def _broken(box: _Box, width: float) -> list[str]:
    return [part for line in box.lines for part in _wrapped(line, width - 2 * _PADDING)]


def _height(n_lines: int) -> float:
    return 2 * _PADDING + _LEADING * (_TITLE_SIZE + _TEXT_SIZE * n_lines) / 72


def _natural_width(box: _Box) -> float:
    title = _text_width(f"{box.title}   {box.corner}", _TITLE_SIZE, weight="bold")
    lines = (_text_width(line, _TEXT_SIZE) for line in box.lines)
    return max(_NARROWEST, 2 * _PADDING + max(title, *lines, 0.0))


def _wrapped(text: str, width: float) -> list[str]:
    """Break a text between words into lines of a width; a word that is too long stays whole."""
    lines: list[str] = []
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and _text_width(longer, _TEXT_SIZE) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


@functools.lru_cache(maxsize=1024)
def _text_width(text: str, size: float, weight: str = "normal") -> float:
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(family=_FONT, size=size, weight=weight)
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return _ROOM * float(width) / 72


def _corners(layout: Layout, chain: Sequence[int]) -> list[tuple[str, float, float]]:
    """Return how a line goes, along and across: straight through layers, and in a curve from one to the next."""
    first, *others = (layout.nodes[place] for place in chain)
    corners = [("MOVETO", first.along + first.length / 2, first.across)]
    corners.append(("LINETO", layout.ends[first.layer], first.across))
    for node in others:
        (_, along, across), start = corners[-1], layout.starts[node.layer]
        middle = (along + start) / 2
        corners += [("CURVE4", middle, across), ("CURVE4", middle, node.across), ("CURVE4", start, node.across)]
        corners.append(("LINETO", layout.ends[node.layer], node.across))
    last = others[-1]
    corners[-1] = ("LINETO", last.along - last.length / 2, last.across)
    return corners


# --- drawing ---------------------------------------------------------------------------------------------------


def _draw_box(ax: Axes, box: _Box) -> None:
    from matplotlib.patches import Rectangle

    fill = _FILLS.get(box.part.kind, _OTHER_FILL) if box.part else _OTHER_FILL
    ax.add_patch(Rectangle((box.left, box.top), box.width, box.height, facecolor=fill, edgecolor=_LINE, linewidth=0.8))
    left, right, top = box.left + _PADDING, box.left + box.width - _PADDING, box.top + _PADDING
    plain: dict[str, Any] = {"va": "top", "parse_math": False}
    ax.text(left, top, box.title, fontsize=_TITLE_SIZE, weight="bold", **plain)
    ax.text(right, top, box.corner, fontsize=_TITLE_SIZE, ha="right", **plain)
    for number, line in enumerate(box.lines):
        below = _LEADING * (_TITLE_SIZE + number * _TEXT_SIZE) / 72
        ax.text(left, top + below, line, fontsize=_TEXT_SIZE, **plain)


def _draw_line(ax: Axes, corners: Sequence[Corner]) -> None:
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path as Corners

    pairs = itertools.pairwise(corners)
    moves = [new for old, new in pairs if new[0] != "LINETO" or math.dist(old[1:], new[1:]) > _POINT]
    kept = [corners[0], *moves]
    path = Corners([corner[1:] for corner in kept], [getattr(Corners, code) for code, *_ in kept])
    ax.add_patch(
        FancyArrowPatch(
            path=path, arrowstyle="-|>,head_length=3.5,head_width=1.8", facecolor=_LINE, edgecolor=_LINE, linewidth=0.8
        )
    )


def _draw_frames(ax: Axes, boxes: Sequence[_Box], parts: Mapping[Part, str]) -> None:
    """Draw a frame around each part of the graph, with its name."""
    from matplotlib.patches import Rectangle

    for part, title in parts.items():
        own = [box for box in boxes if box.part == part]
        if part.kind not in ("front end", "classifier") or not own:
            continue
        left, top = min(box.left for box in own) - _FRAME, min(box.top for box in own) - _FRAME - _FRAME_TITLE
        right = max(box.left + box.width for box in own) + _FRAME
        bottom = max(box.top + box.height for box in own) + _FRAME
        style: dict[str, Any] = {"edgecolor": _FRAME_LINE, "linewidth": 0.8, "linestyle": (0, (4, 2))}
        ax.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, **style))
        paper = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
        ax.text(left + _PADDING, top + _PADDING / 2, title, fontsize=_TITLE_SIZE, va="top", style="italic", bbox=paper)


def _headline(inspection: Inspection) -> str:
    n_parameters, n_bytes = sum(inspection.n_parameters.values()), sum(inspection.n_bytes.values())
    cost = f"{inspection.macs_per_second / 1e6:,.1f} M MAC (multiply-accumulates) per second of audio"
    return f"{printable(inspection.metadata.name)}: {n_parameters:,} parameters, {n_bytes:,} bytes, {cost}"
