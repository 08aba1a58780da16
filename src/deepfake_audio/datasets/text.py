"""
Protocols, manifests and score files as text: UTF-8, packed or not.

A byte-order mark, either kind of line ending (mixed, too) and blank lines are all read; what cannot be read is a
``DataError`` with the file and, where there is one, the line.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import re
import zlib
from typing import TYPE_CHECKING, TextIO

from deepfake_audio.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_DAMAGED = (gzip.BadGzipFile, EOFError, zlib.error)
# How much of a file is looked at to see what it is.
_HEAD_BYTES = 65_536


@contextlib.contextmanager
def reading(path: Path) -> Iterator[TextIO]:
    """
    Open a text file; one whose name ends in ``.gz`` is unpacked. Lines keep their ends.

    Raises:
        DataError: If it cannot be opened, or is no text in UTF-8; also for a ``csv.Error`` in the block.
    """
    try:
        with _opened(path) as raw, io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as stream:
            yield stream
    except _DAMAGED as error:
        raise DataError(f"{path}: is damaged, it cannot be unpacked ({error})") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be opened ({error.strerror})") from error
    except UnicodeDecodeError as error:
        fault = f"line {_line_of_fault(path)}: {error.reason}"
        raise DataError(f"{path}: cannot be read as text in UTF-8 ({fault})") from error
    except csv.Error as error:
        raise DataError(f"{path}: cannot be read as text in UTF-8 ({error})") from error


def rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """
    Yield the number and the columns of each line that is not blank; white space separates columns.

    Raises:
        DataError: If the file cannot be read.
    """
    with reading(path) as lines:
        for number, line in enumerate(lines, start=1):
            if columns := line.split():
                yield number, columns


def first_line(path: Path) -> str:
    """Return the first line that is not blank, to see what a file is; empty for what cannot be read."""
    try:
        with _opened(path) as raw:
            head = raw.read(_HEAD_BYTES).decode("utf-8-sig", "replace")
    except (OSError, *_DAMAGED):
        return ""
    return next((line for line in io.StringIO(head, newline=None) if line.strip()), "").rstrip("\n")


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[gzip.GzipFile | io.BufferedReader]:
    with path.open("rb") as raw:
        if path.suffix.lower() == ".gz":
            with gzip.GzipFile(fileobj=raw) as unpacked:
                yield unpacked
        else:
            yield raw


def _line_of_fault(path: Path) -> int:
    """Return the line of the first byte that is no UTF-8; a stream that is decoded in pieces cannot tell."""
    with _opened(path) as raw:
        text = raw.read().decode("utf-8", "surrogateescape")
    return 1 + re.split("[\udc80-\udcff]", text, maxsplit=1)[0].count("\n")
