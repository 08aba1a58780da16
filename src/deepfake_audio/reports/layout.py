"""
Where the boxes of a drawing lie that follow each other in layers, after Sugiyama, Tagawa and Toda (1981).

What is *along* goes from layer to layer, what is *across* goes from box to box within one; the drawing says which of
them is downwards. A line that passes layers gets a slot in each of them, so that it goes through no box. Within a layer
boxes are ordered so that lines cross little, and put as near to what they are linked to as their neighbours let them.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_SWEEPS = 24


@dataclass
class Node:
    """
    A box, or the slot of a line that passes.

    Attributes:
        layer: From 0.
        length: Its extent along.
        breadth: Its extent across.
        band: Boxes of one band are kept apart from those of others; those of band 0 belong to all.
        along: Where its middle is, once it was laid out.
        across: Likewise.
    """

    layer: int
    length: float
    breadth: float
    band: int = 0
    along: float = 0.0
    across: float = 0.0


@dataclass(frozen=True)
class Layout:
    """
    A drawing's places.

    Attributes:
        nodes: The boxes as they were given, then the slots of lines.
        chains: Each line by what it leads through, in their order.
        starts: Where each layer starts along.
        ends: Where it ends.
        breadth: How far it goes across, from 0.
    """

    nodes: list[Node]
    chains: list[list[int]]
    starts: list[float]
    ends: list[float]
    breadth: float


def lay_out(
    boxes: Sequence[Node],
    lines: Sequence[tuple[int, int]],
    gaps: Sequence[float],
    *,
    beside: float,
    between_bands: float,
    slot: float,
) -> Layout:
    """
    Lay out boxes and lines, from 0 in both directions.

    Args:
        boxes: In layers of which none is empty.
        lines: From one box to another of a later layer, by their places.
        gaps: Before each layer, the first one included.
        beside: Between neighbours in a layer.
        between_bands: Between bands.
        slot: What a line takes that passes a layer.
    """
    nodes = [replace(box) for box in boxes]
    chains = [_chain(nodes, first, last, slot) for first, last in lines]
    layers: list[list[int]] = [[] for _ in range(1 + max(node.layer for node in nodes))]
    for place, node in enumerate(nodes):
        layers[node.layer].append(place)
    starts, ends, at = [], [], 0.0
    for layer, gap in zip(layers, gaps, strict=True):
        starts.append(at + gap)
        at = starts[-1] + max(nodes[place].length for place in layer)
        ends.append(at)
        for place in layer:
            nodes[place].along = (starts[-1] + ends[-1]) / 2
    links: dict[int, set[int]] = {place: set() for place in range(len(nodes))}
    for first, last in itertools.chain.from_iterable(map(itertools.pairwise, chains)):
        links[first].add(last)
        links[last].add(first)
    return Layout(nodes, chains, starts, ends, _put_across(nodes, layers, links, beside, between_bands))


def _chain(nodes: list[Node], first: int, last: int, slot: float) -> list[int]:
    """Return what a line leads through, with a new slot in each layer that it passes."""
    start, end = nodes[first], nodes[last]
    layers = range(start.layer + 1, end.layer)
    nodes += [Node(layer, 0.0, slot, start.band or end.band) for layer in layers]
    return [first, *range(len(nodes) - len(layers), len(nodes)), last]


def _put_across(
    nodes: list[Node], layers: list[list[int]], links: dict[int, set[int]], beside: float, between_bands: float
) -> float:
    """Lay out each band by itself and put them side by side; what belongs to all is in the middle of its links."""
    bands = sorted({node.band for node in nodes} - {0})
    with_all = {0, *bands} if len(bands) < 2 else set()  # noqa: PLR2004 - one band is the whole drawing
    breadth = 0.0
    for band in bands or [0]:
        rows = [[place for place in layer if nodes[place].band in (with_all or {band})] for layer in layers]
        _put_band(nodes, [row for row in rows if row], links, beside)
        own = [nodes[place] for row in rows for place in row]
        first = min(node.across - node.breadth / 2 for node in own)
        for node in own:
            node.across += breadth + bool(breadth) * between_bands - first
        breadth = max(node.across + node.breadth / 2 for node in own)
    if not with_all:
        placed = {place for place, node in enumerate(nodes) if node.band}
        for place in sorted(set(links) - placed, key=lambda place: nodes[place].layer):
            middle = _middle(nodes, links[place] & placed)
            nodes[place].across = breadth / 2 if middle is None else middle
            placed.add(place)
    return breadth


def _put_band(nodes: list[Node], rows: list[list[int]], links: dict[int, set[int]], beside: float) -> None:
    """Order and place the rows of a band, looking at the row before in one sweep and at the row behind in the next."""
    inside = {place for row in rows for place in row}
    for row in rows:
        _put_row(nodes, row, dict.fromkeys(row, 0.0), beside)
    for sweep in range(_SWEEPS):
        backwards = sweep % 2
        for row in reversed(rows) if backwards else rows:
            wished = {}
            for place in row:
                layer = nodes[place].layer
                near = [p for p in links[place] & inside if (nodes[p].layer > layer) == bool(backwards)]
                middle = _middle(nodes, near)
                wished[place] = nodes[place].across if middle is None else middle
            if sweep < _SWEEPS // 2:
                row.sort(key=wished.__getitem__)
            _put_row(nodes, row, wished, beside)


def _put_row(nodes: list[Node], row: Sequence[int], wished: dict[int, float], beside: float) -> None:
    """Put a row's boxes, in its order, where they are wished, moved apart as far as they need."""
    at = None
    for place in row:
        node = nodes[place]
        node.across = wished[place] if at is None else max(wished[place], at + node.breadth / 2)
        at = node.across + node.breadth / 2 + beside
    moved = sum(nodes[place].across - wished[place] for place in row) / len(row)
    for place in row:
        nodes[place].across -= moved


def _middle(nodes: Sequence[Node], places: Iterable[int]) -> float | None:
    found = [nodes[place].across for place in places]
    return sum(found) / len(found) if found else None
