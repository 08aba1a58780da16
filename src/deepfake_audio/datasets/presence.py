"""Whether the audio of a data set is there: found out before any work is done."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING

from deepfake_audio.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from deepfake_audio.datasets.core import Dataset

# So many of the missing files are named, the rest are counted.
_MOST_NAMED = 3


def missing_audio(dataset: Dataset) -> tuple[Path, ...]:
    """
    Return the audio files that are not there, in the order of the data set.

    Each directory is listed once, which is quicker than to ask for each of half a million files.
    """
    listings: dict[str, frozenset[str] | None] = {}
    missing = []
    for path in (u.path for u in dataset.utterances):
        directory, name = os.path.split(path)
        if directory not in listings:
            listings[directory] = _files(directory)
        listing = listings[directory]
        # A file system that does not tell a.WAV from a.wav has files under names that it does not list.
        if listing is None or (name not in listing and not _is_file(path)):
            missing.append(path)
    return tuple(missing)


def _files(directory: str) -> frozenset[str] | None:
    """Return the names of the files in a directory; None where there is no such directory."""
    try:
        with os.scandir(directory or os.curdir) as entries:
            return frozenset(entry.name for entry in entries if entry.is_file())
    except (FileNotFoundError, NotADirectoryError, ValueError):  # the last for a null character
        return None
    except OSError:
        return frozenset()  # it cannot be listed, but its files may be there: each is asked for


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long
        return False


def require_audio(dataset: Dataset) -> None:
    """
    Make sure that every audio file is there.

    Raises:
        DataError: If some are not, with their number, the first of them, and what to do.
    """
    missing = frozenset(missing_audio(dataset))
    if not missing:
        return
    named = [str(u.path) for u in dataset.utterances if u.path in missing][:_MOST_NAMED]
    more = ", ..." if len(missing) > len(named) else ""
    all_of = Counter(u.partition for u in dataset.utterances)
    missing_of = Counter(u.partition for u in dataset.utterances if u.path in missing)
    complete = [name for name in dataset.partitions if not missing_of[name]]
    advice = f" all of {', '.join(complete)} is there (--partition)" if complete else ""
    parts = ", ".join(f"{name} {n:,} of {all_of[name]:,}" for name, n in missing_of.items() if name)
    raise DataError(
        f"{dataset.root}: {len(missing):,} of {len(dataset.utterances):,} audio files are not there"
        f"{f' ({parts})' if parts else ''}: {', '.join(named)}{more}; is the archive unpacked?{advice}"
    )
