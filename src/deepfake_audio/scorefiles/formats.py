"""The formats of score files: the first line tells which one it is, and all of them become one kind of table."""

from __future__ import annotations

import csv
import itertools
import json
import sys
from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from deepfake_audio.datasets.core import LABELS, Label, label_of
from deepfake_audio.datasets.manifests import fact_columns, find_columns
from deepfake_audio.datasets.text import first_line, reading, rows
from deepfake_audio.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

# Our name of a column or key -> the names under which it is found; of several the first.
_COLUMNS = {
    "id": (
        "utterance_id",
        "utt",
        "utterance",
        "trial",
        "id",
        "path",
        "filename",
        "file",
        "file_name",
        "filepath",
        "file_path",
        "audio",
        "wav",
    ),
    "score": ("score", "llr_genuine", "cm-score", "cm_score", "llr"),
    "key": ("key", "label", "cm-label", "cm_label", "class"),
    "system": ("system", "attack", "attack_id", "generator"),
    "partition": ("partition", "split"),
    "source": ("source", "dataset", "corpus"),
    "group": ("group", "fold"),
    "speaker": ("speaker", "speaker_id", "spk"),
}
_NEEDED = ("id", "score")
# Formats without a header: their columns.
_PLAIN = {
    "asvspoof2019": ("id", "system", "key", "score"),
    "aasist5": ("speaker", "id", "score", "key"),
    "asvspoof2021": ("id", "score"),
}
# Records of `predict` say their schema. Those without a score are no fault, and not all that they say is worth keeping.
_SCHEMA = "schema"
_OURS = {
    "id": "path",
    "score": "llr_genuine",
    "duration_seconds": "duration_seconds",
    "speech_seconds": "speech_seconds",
    "sample_rate": "sample_rate",
}


@dataclass
class Table:
    """A score file while it is read: columns of equal length; of records without a score the score is None."""

    path: Path
    format: str
    unit: str = "line"
    ids: list[str] = field(default_factory=list)
    scores: list[float | None] = field(default_factory=list)
    lines: array[int] = field(default_factory=lambda: array("q"))
    labels: list[Label] = field(default_factory=list)
    words: dict[str, list[str]] = field(default_factory=dict)

    def where(self, number: int) -> str:
        """Return the file and a line, for messages."""
        return f"{self.path}, {self.unit} {number}"

    def fill(
        self, at: Mapping[str, int], numbered: Iterable[tuple[int, Sequence[str]]], *, scores_may_lack: bool = False
    ) -> Table:
        """Take rows: our name of a column -> its position, and the line numbers with the cells."""
        id_at, score_at, key_at = at["id"], at["score"], at.get("key")
        self.words = {name: [] for name in at if name not in {"id", "score", "key"}}
        columns = [(words.append, at[name]) for name, words in self.words.items()]
        for number, cells in numbered:
            name = cells[id_at]
            if not name:
                raise DataError(f"{self.where(number)}: the id is empty")
            self.ids.append(name)
            self.lines.append(number)
            text = cells[score_at]
            self.scores.append(None if not text and scores_may_lack else self._number(text, number))
            if key_at is not None:
                key = cells[key_at]
                self.labels.append(LABELS.get(key) or label_of(key, self.where(number)))
            for append, position in columns:
                append(sys.intern(cells[position]))
        return self

    def _number(self, text: str, number: int) -> float:
        try:
            return as_number(text)
        except ValueError:
            raise DataError(
                f"{self.where(number)}: expected a number as the score of {self.ids[-1]}, found {text!r}"
            ) from None


def as_number(text: str) -> float:
    """
    Return the number that a text is; unlike Python, nobody takes ``1_000`` for one.

    Raises:
        ValueError: If it is none.
    """
    if "_" in text:
        raise ValueError(text)
    return float(text)


def read_table(path: Path) -> Table:
    """
    Read a file in the format that its first line is in.

    Raises:
        DataError: If it cannot be read, or does not fit a format.
    """
    head = first_line(path).lstrip(" ")
    if head.startswith("["):
        return _read_json(path)
    if head.startswith("{"):
        return _read_json_lines(path)
    separator = next((sign for sign in sorted(",;\t", key=head.count, reverse=True) if sign in head), "")
    cells = next(csv.reader([head], delimiter=separator)) if separator else head.split()
    names = {name.strip().lower() for name in cells}
    if any(names.intersection(_COLUMNS[needed]) for needed in _NEEDED):
        return _read_separated(path, separator)
    if format_ := _plain_format(head.split()):
        columns = _PLAIN[format_]
        at = {name: position for position, name in enumerate(columns)}
        return Table(path, format_).fill(at, _of_width(path, rows(path), columns))
    with reading(path) as stream:  # to the end, which tells a file that is no text, is damaged or is not there
        numbers = [number for number, line in enumerate(stream, start=1) if line.strip()]
    if not numbers:
        raise DataError(f"{path}: holds no scores, it is empty")
    raise DataError(
        f"{path}, line {numbers[0]}: expected a header that names the id and the score; or, separated by spaces, id "
        f"and score, or id, attack, key and score, or speaker, id, score and key; or JSON; found {head[:60]!r}"
    )


def _plain_format(cells: Sequence[str]) -> str:
    """Return the format of a line without header; of four columns, the score is the one that is a number."""
    if len(cells) == len(_PLAIN["asvspoof2021"]):
        return "asvspoof2021"
    four = [name for name in ("asvspoof2019", "aasist5") if len(cells) == len(_PLAIN[name])]
    return next((name for name in four if _is_number(cells[_PLAIN[name].index("score")])), "")


def _is_number(text: str) -> bool:
    try:
        as_number(text)
    except ValueError:
        return False
    return True


def _of_width(
    path: Path, numbered: Iterable[tuple[int, list[str]]], columns: Sequence[str]
) -> Iterator[tuple[int, list[str]]]:
    for number, cells in numbered:
        if len(cells) != len(columns):
            described = f"{len(columns)} columns ({', '.join(columns)})"
            raise DataError(f"{path}, line {number}: expected {described}, found {len(cells)}")
        yield number, cells


def _read_separated(path: Path, separator: str) -> Table:
    """Read a table with a header, separated by a sign, or by white space where there is none."""
    numbered = _separated(path, separator) if separator else rows(path)
    _, header = next(numbered)
    is_ours = {_SCHEMA, _OURS["id"], _OURS["score"]}.issubset(header)
    if is_ours:
        found = {name: column for name, column in _OURS.items() if column in header}
    else:
        found = find_columns(path, header, _COLUMNS, _NEEDED)
        found |= fact_columns(header, found.values())
    at = {name: header.index(column) for name, column in found.items()}
    format_ = "asvspoof5" if [name.strip().lower() for name in header] == ["filename", "cm-score"] else "csv"
    return Table(path, format_).fill(at, _of_width(path, numbered, header), scores_may_lack=is_ours)


def _separated(path: Path, separator: str) -> Iterator[tuple[int, list[str]]]:
    with reading(path) as stream:
        lines = csv.reader(stream, delimiter=separator)
        for cells in lines:
            stripped = [cell.strip() for cell in cells]
            if any(stripped):  # spreadsheets leave rows of nothing but separators
                yield lines.line_num, stripped


def _read_json(path: Path) -> Table:
    with reading(path) as stream:
        records = _parsed(stream.read(), path)
    return _read_records(Table(path, "json", unit="record"), enumerate(records, start=1))


def _read_json_lines(path: Path) -> Table:
    with reading(path) as stream:
        numbered = (
            (number, _parsed(line.strip(), path, number)) for number, line in enumerate(stream, start=1) if line.strip()
        )
        return _read_records(Table(path, "jsonl"), numbered)


def _parsed(text: str, path: Path, number: int = 1) -> Any:
    """Parse JSON that begins in a line."""
    try:
        return _JSON.decode(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}, line {number + error.lineno - 1}: is no JSON ({error.msg})") from error
    except RecursionError:
        raise DataError(f"{path}, line {number}: is nested too deeply") from None


def _kept(record: dict[str, Any]) -> dict[str, Any]:
    """Leave out early what will not be used of our own records: theirs are long."""
    return {name: record.get(name) for name in (_SCHEMA, *_OURS.values())} if _SCHEMA in record else record


# Numbers stay text, to the last digit.
_JSON = json.JSONDecoder(object_hook=_kept, parse_float=str, parse_int=str, parse_constant=str)


def _read_records(table: Table, numbered: Iterable[tuple[int, Any]]) -> Table:
    """Read records; the first one tells the names."""
    numbered = iter(numbered)
    first = next(numbered, None)
    if first is None:
        return table
    _require_record(table, *first)
    header = list(first[1])
    if _SCHEMA in header:
        found = dict(_OURS)
    else:
        found = find_columns(table.path, header, _COLUMNS, _NEEDED)
        found |= fact_columns(header, found.values())
    columns = list(found.values())

    def cells() -> Iterator[tuple[int, list[str]]]:
        for number, record in itertools.chain([first], numbered):
            _require_record(table, number, record)
            yield number, [_word(record.get(column)) for column in columns]

    return table.fill({name: n for n, name in enumerate(found)}, cells(), scores_may_lack=True)


def _require_record(table: Table, number: int, record: Any) -> None:
    if not isinstance(record, dict):
        raise DataError(f"{table.where(number)}: expected a record with an id and a score, found {str(record)[:60]!r}")


def _word(value: Any) -> str:
    return value.strip() if isinstance(value, str) else "" if value is None else str(value)
