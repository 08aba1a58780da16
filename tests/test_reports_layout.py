"""Where boxes lie: none on another, no line through any, and what is simple looks simple."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from deepfake_audio.reports.layout import Layout, Node, lay_out

BESIDE, BANDS, SLOT = 0.25, 0.5, 0.125


def laid_out(boxes: list[Node], lines: list[tuple[int, int]], gap: float = 1.0) -> Layout:
    """Lay out boxes with a gap between layers, but none before the first."""
    gaps = [0.0, *[gap] * max(box.layer for box in boxes)]
    return lay_out(boxes, lines, gaps, beside=BESIDE, between_bands=BANDS, slot=SLOT)


def drawn_at_random(seed: int, bands: int) -> tuple[list[Node], list[tuple[int, int]]]:
    """Return a graph: a box above all, bands of layers with lines that may skip some, and a box below all."""
    rng = np.random.default_rng(seed)
    boxes, lines = [Node(0, 1.0, 2.0)], []
    for band in range(1, bands + 1):
        first = len(boxes)
        for layer in range(1, 7):
            for _ in range(rng.integers(1, 5)):
                above = [p for p, box in enumerate(boxes) if box.layer < layer and (p == 0 or p >= first)]
                sources = rng.choice(above, size=min(len(above), int(rng.integers(1, 4))), replace=False).tolist()
                boxes.append(Node(layer, rng.uniform(0.5, 2), rng.uniform(0.5, 3), band))
                lines += [(source, len(boxes) - 1) for source in sources]
    read = {first for first, _ in lines}
    ends = [place for place in range(len(boxes)) if place not in read]
    boxes.append(Node(7, 1.0, 2.0))
    return boxes, [*lines, *((end, len(boxes) - 1) for end in ends)]


def edges(node: Node) -> tuple[float, float]:
    """Return where a box begins and ends across."""
    return node.across - node.breadth / 2, node.across + node.breadth / 2


@pytest.mark.parametrize("bands", [1, 2, 3])
@pytest.mark.parametrize("seed", range(20))
def test_nothing_lies_on_anything(seed: int, bands: int) -> None:
    """In each layer boxes and the slots of lines keep their distance, and bands stand side by side."""
    boxes, lines = drawn_at_random(seed, bands)
    found = laid_out(boxes, lines)
    for _, layer in itertools.groupby(sorted(found.nodes, key=lambda n: (n.layer, n.across)), key=lambda n: n.layer):
        for left, right in itertools.pairwise(layer):
            assert edges(right)[0] - edges(left)[1] >= BESIDE - 1e-9
    limits = [[edges(node) for node in found.nodes if node.band == band] for band in range(1, bands + 1)]
    for left_band, right_band in itertools.pairwise(limits):
        assert min(low for low, _ in right_band) - max(high for _, high in left_band) >= BANDS - 1e-9
    assert min(edges(node)[0] for node in found.nodes) == pytest.approx(0)
    assert max(edges(node)[1] for node in found.nodes) == pytest.approx(found.breadth)


@pytest.mark.parametrize("seed", range(5))
def test_layers_follow_each_other(seed: int) -> None:
    """Each box lies in its layer, layers have their gaps, and boxes keep their sizes."""
    boxes, lines = drawn_at_random(seed, 2)
    found = laid_out(boxes, lines)
    for given, box in zip(boxes, found.nodes, strict=False):
        assert (given.layer, given.length, given.breadth, given.band) == (box.layer, box.length, box.breadth, box.band)
        assert found.starts[box.layer] - 1e-9 <= box.along - box.length / 2
        assert box.along + box.length / 2 <= found.ends[box.layer] + 1e-9
    for end, start in zip(found.ends, found.starts[1:], strict=False):
        assert start - end == pytest.approx(1.0)
    assert found.starts[0] == 0


@pytest.mark.parametrize("seed", range(5))
def test_lines_pass_each_layer(seed: int) -> None:
    """A line goes from its first box to its last by one place in each layer between, which no other line has."""
    boxes, lines = drawn_at_random(seed, 2)
    found = laid_out(boxes, lines)
    for (first, last), chain in zip(lines, found.chains, strict=True):
        assert (chain[0], chain[-1]) == (first, last)
        layers = [found.nodes[place].layer for place in chain]
        assert layers == list(range(boxes[first].layer, boxes[last].layer + 1))
    passed = [place for chain in found.chains for place in chain[1:-1]]
    assert len(set(passed)) == len(passed) == len(found.nodes) - len(boxes)


def test_a_chain_is_straight() -> None:
    """Boxes that follow one another lie in one line, whatever their sizes."""
    boxes = [Node(layer, 1.0, breadth) for layer, breadth in enumerate((3.0, 1.0, 2.0, 5.0))]
    found = laid_out(boxes, [(0, 1), (1, 2), (2, 3)])
    assert {round(node.across, 9) for node in found.nodes} == {2.5}
    assert [node.along for node in found.nodes] == [0.5, 2.5, 4.5, 6.5]


def test_a_fan_is_symmetrical() -> None:
    """What reads many is in the middle of them, and so is what many read."""
    boxes = [Node(0, 1.0, 1.0), *(Node(1, 1.0, 1.0) for _ in range(4)), Node(2, 1.0, 1.0)]
    found = laid_out(boxes, [*((0, place) for place in range(1, 5)), *((place, 5) for place in range(1, 5))])
    assert [node.across for node in found.nodes] == pytest.approx([2.375, 0.5, 1.75, 3.0, 4.25, 2.375])


def test_lines_are_disentangled() -> None:
    """Boxes lie in the order of those that they read, so that no lines cross."""
    first = [Node(0, 1.0, 1.0) for _ in range(4)]
    second = [Node(1, 1.0, 1.0) for _ in range(4)]
    found = laid_out([*first, *second], [(number, 7 - number) for number in range(4)])
    for number in range(4):
        assert found.nodes[number].across == pytest.approx(found.nodes[7 - number].across)


def test_what_is_of_all_bands_is_in_their_middle() -> None:
    """The first box lies between those that read it in either band, and what follows the last lies below it."""
    boxes = [Node(0, 1, 1), Node(1, 1, 1, 1), Node(1, 1, 1, 2), Node(2, 1, 1), Node(3, 1, 1)]
    found = laid_out(boxes, [(0, 1), (0, 2), (1, 3), (2, 3), (3, 4)])
    assert [node.across for node in found.nodes] == [1.25, 0.5, 2.0, 1.25, 1.25]


def test_the_same_graph_is_laid_out_the_same() -> None:
    """There is no chance in it."""
    boxes, lines = drawn_at_random(1, 2)
    assert laid_out(boxes, lines) == laid_out(boxes, lines)
    assert all(box.along == box.across == 0 for box in boxes)
