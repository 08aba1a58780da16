"""
Protocols: lines of columns that white space separates.

Columns have the names under which an ``Utterance`` knows them (``key`` is the label), all others become facts under
their name; ``-`` says nothing.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deepfake_audio.datasets.core import LABELS, SUBSETS, Label, Utterance, each_once, label_of
from deepfake_audio.datasets.text import rows
from deepfake_audio.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

_FIELDS = frozenset(["speaker", "utterance", "system", "key", "source"])
# Facts that files word differently: the file's word -> ours.
_WORDS: dict[str, dict[str, str]] = {"subset": SUBSETS, "codec": {"-": "none", "NONE": "none"}}


@dataclass(frozen=True)
class Protocol:
    """
    How to read one protocol.

    Attributes:
        path: The file.
        columns: Their names, in order.
        place: Utterance id -> its partition and the directory of its audio.
        source: Of all its utterances, where no column says it.
        has_header: Whether its first line names the columns.
    """

    path: Path
    columns: tuple[str, ...]
    place: Callable[[str], tuple[str, Path]]
    source: str
    has_header: bool = False


def read_protocol(protocol: Protocol) -> Iterator[Utterance]:
    """
    Yield the utterances of a protocol.

    Raises:
        DataError: If a line has another number of columns or an unknown label, or an utterance is listed twice.
    """
    yield from each_once(protocol.path, _numbered(protocol), key=lambda utterance: utterance.utterance_id)


def _numbered(protocol: Protocol) -> Iterator[tuple[int, Utterance]]:
    at = {name: position for position, name in enumerate(protocol.columns)}
    facts = [(name, position, _WORDS.get(name, {})) for name, position in at.items() if name not in _FIELDS]
    lines = rows(protocol.path)
    if protocol.has_header:
        next(lines)
    for number, cells in lines:
        if len(cells) != len(protocol.columns):
            raise DataError(f"{protocol.path}, line {number}: expected {_described(protocol)}, found {len(cells)}")
        key = cells[at["key"]]
        label = LABELS.get(key) or label_of(key, f"{protocol.path}, line {number}")
        utterance_id = cells[at["utterance"]]
        partition, directory = protocol.place(utterance_id)
        speaker = _said(cells, at, "speaker")
        yield (
            number,
            Utterance(
                directory / f"{utterance_id}.flac",
                label,
                utterance_id=utterance_id,
                partition=partition,
                source=_said(cells, at, "source") or protocol.source,
                group=speaker,
                system=_said(cells, at, "system") if label is Label.SPOOF else "",
                speaker=speaker,
                facts={
                    name: sys.intern(word)
                    for name, position, words in facts
                    if (word := words.get(cells[position], cells[position])) != "-"
                },
            ),
        )


def _said(cells: list[str], at: Mapping[str, int], name: str) -> str:
    """Return what a column says; words that many lines share are kept once, so that half a million lines fit."""
    word = cells[at[name]] if name in at else "-"
    return "" if word == "-" else sys.intern(word)


def _described(protocol: Protocol) -> str:
    return f"{len(protocol.columns)} columns ({', '.join(protocol.columns)})"


def existing(candidates: Sequence[Path]) -> Path:
    """Return the first directory that is there; where none is, the first."""
    return next((path for path in candidates if path.is_dir()), candidates[0])


def upwards(path: Path, levels: int) -> Iterator[Path]:
    """Yield the directory of a file and those above it, beyond where a relative path begins, too."""
    directory = path.parent
    for _ in range(levels):
        yield directory
        directory = (directory if directory.name not in {"", ".."} else directory.resolve()).parent
