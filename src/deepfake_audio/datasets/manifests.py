"""Data sets that a table with a header describes: CSV manifests, In-the-Wild."""

from __future__ import annotations

import csv
import dataclasses
from types import MappingProxyType
from typing import TYPE_CHECKING, TextIO

from deepfake_audio.datasets.core import PARTITIONS, Label, Utterance, each_once, label_of
from deepfake_audio.datasets.text import first_line, reading
from deepfake_audio.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

# Our name of a column -> the names under which it is found in headers.
_COLUMNS = {
    "path": ("path", "file", "filename", "file_name", "filepath", "file_path", "audio", "wav"),
    "label": ("label", "class", "target", "key"),
    "partition": ("partition", "split", "subset", "set"),
    "source": ("source", "dataset", "corpus"),
    "group": ("group", "fold"),
    "system": ("system", "attack", "attack_id", "generator"),
    "speaker": ("speaker", "speaker_id", "spk"),
}
# All further columns are facts under the header's own names, but for these, which every data set has a word for.
_FACTS = {
    "family": ("family", "method", "technique", "attack_type"),
    "language": ("language", "lang", "locale"),
    "codec": ("codec", "compression", "compr", "coding"),
}


def is_csv(root: Path) -> bool:
    """Return whether a file is named like a table."""
    return root.is_file() and root.name.lower().removesuffix(".gz").endswith((".csv", ".tsv"))


def read_csv(root: Path, columns: Mapping[str, str]) -> Iterator[Utterance]:
    """Read a manifest; a path is seen from the manifest, and no file may be listed twice."""
    if not root.is_file():
        raise DataError(f"{root}: the layout csv needs a manifest file, this is a directory")
    yield from each_once(root, _numbered(root, columns), key=lambda utterance: utterance.path)


def _numbered(root: Path, columns: Mapping[str, str]) -> Iterator[tuple[int, Utterance]]:
    with reading(root) as stream:
        rows = csv.DictReader(stream, delimiter=delimiter_of(stream))
        header = rows.fieldnames or ()
        places = find_columns(root, header, _COLUMNS, ("path", "label"), columns)
        facts = fact_columns(header, places.values())
        for row in rows:
            values = {name: (row[column] or "").strip() for name, column in places.items()}
            if not any(values.values()):
                continue  # spreadsheets leave rows of nothing but separators
            where = f"{root}, line {rows.line_num}"
            if not values["path"]:
                raise DataError(f"{where}: the column {places['path']!r} is empty")
            said = {name: text for name, column in facts.items() if (text := (row[column] or "").strip())}
            yield rows.line_num, _utterance(root, values, said, where)


def delimiter_of(stream: TextIO) -> str:
    """Return what separates the columns: of comma, semicolon and tab the one that the header has most of."""
    header = stream.readline()
    stream.seek(0)
    return max(",;\t", key=header.count)


def _utterance(root: Path, values: Mapping[str, str], facts: Mapping[str, str], where: str) -> Utterance:
    label = label_of(values["label"], where)
    partition = values.get("partition", "")
    return Utterance(
        _path(root, values["path"]),
        label,
        utterance_id=values["path"],
        partition=PARTITIONS.get(partition.lower(), partition),
        source=values.get("source", ""),
        group=values.get("group", ""),
        system=values.get("system", "") if label is Label.SPOOF else "",
        speaker=values.get("speaker", ""),
        facts=facts,
    )


def _path(root: Path, text: str) -> Path:
    """Return where a file lies: seen from the manifest, unless its path is absolute."""
    path = root.parent / text
    if "\\" in text and not path.exists():
        return root.parent / text.replace("\\", "/")  # the manifest was written on Windows
    return path


def find_columns(
    root: Path,
    header: Sequence[str],
    synonyms: Mapping[str, Sequence[str]],
    needed: Sequence[str],
    chosen: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, str]:
    """
    Return our name -> the header's for the columns that are there.

    Args:
        root: The table, for messages.
        header: Its columns.
        synonyms: Our name -> the names under which it is found, in any case; of several the first.
        needed: Which of our names must be there.
        chosen: Names that the user gave: ours -> theirs.

    Raises:
        DataError: If a chosen column or one that is needed is not there.
    """
    found = {}
    by_lower = {name.strip().lower(): name for name in header}
    for ours, names in synonyms.items():
        if ours in chosen and chosen[ours] not in header:
            raise DataError(f"{root}: has no column {chosen[ours]!r}; columns: {', '.join(header)}")
        theirs = chosen.get(ours) or next((by_lower[name] for name in names if name in by_lower), None)
        if theirs is not None:
            found[ours] = theirs
    if unknown := sorted(set(chosen) - set(synonyms)):
        raise DataError(f"unknown column {unknown[0]!r}; columns that are used: {', '.join(synonyms)}")
    for ours in needed:
        if ours not in found:
            there = ", ".join(header) or "none"
            raise DataError(f"{root}: needs a column for the {ours} ({', '.join(synonyms[ours])}); columns: {there}")
    return found


def fact_columns(header: Sequence[str], taken: Iterable[str]) -> dict[str, str]:
    """Return the name of the fact -> the header's for each column that is not taken and has a name."""
    free = [name for name in header if name not in set(taken) and name.strip()]
    by_lower = {name.strip().lower(): name for name in free}
    known = {}
    for fact, synonyms in _FACTS.items():
        if theirs := next((by_lower[name] for name in synonyms if name in by_lower), None):
            known[theirs] = fact
    return {known.get(name, name.strip()): name for name in free}


# --- In-the-Wild -----------------------------------------------------------------------------------------------

_META = "meta.csv"
_META_HEADER = "file,speaker,label"


def is_in_the_wild(root: Path) -> bool:
    """Return whether this is the data set's ``meta.csv``, or a directory with it."""
    return any(first_line(path).strip().lower() == _META_HEADER for path in _metas(root))


def _metas(root: Path) -> list[Path]:
    """Return the ``meta.csv`` at or below a place."""
    if root.name == _META and root.is_file():
        return [root]
    return [path for path in (root / _META, root / "release_in_the_wild" / _META) if path.is_file()]


def read_in_the_wild(root: Path, columns: Mapping[str, str]) -> Iterator[Utterance]:
    """Read ``meta.csv``, whose files lie beside it: 31,779 recordings of public figures, without a split."""
    metas = _metas(root)
    if not metas:
        raise DataError(f"{root}: expected meta.csv or release_in_the_wild/meta.csv here")
    for utterance in read_csv(metas[0], columns):
        yield dataclasses.replace(utterance, source="in-the-wild", group=utterance.speaker)
