"""Many inputs: from paths on a command line to one result each, in their order."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from deepfake_audio.audio import STDIN
from deepfake_audio.datasets import audio_files
from deepfake_audio.parallel import ordered_map

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from deepfake_audio.detector import Detection, Detector, Skipped

# So few files are scored before a second process has even started.
_FILES_PER_PROCESS = 20


def find_inputs(paths: Iterable[str | os.PathLike[str]]) -> Iterator[str]:
    """
    Yield the files that are meant: each file as it is given, and the audio files below each directory.

    A path that does not exist is yielded too, and so is a directory that cannot be listed: each gets its record.
    Named pipes are read only where they are given by name, since one in a directory may never be written to.
    """
    for path in paths:
        if os.fspath(path) != STDIN and os.path.isdir(path):  # noqa: PTH112 - Path.is_dir fails on names too long
            unlisted: list[OSError] = []
            yield from (str(file) for file in audio_files(Path(path), unlisted.append) if not _is_pipe(file))
            yield from (str(error.filename) for error in unlisted)
        else:
            yield os.fspath(path)


def _is_pipe(path: Path) -> bool:
    try:
        return path.is_fifo()
    except OSError:
        return False  # scoring will say what is wrong with it


def score_all(paths: Iterable[str], detector: Detector, *, jobs: int = 1) -> Iterator[Detection | Skipped]:
    """
    Score many recordings; one result for each, in their order, whatever ``jobs`` is.

    Args:
        paths: Files, or ``-`` for standard input.
        detector: What to score with; each process gets its own copy.
        jobs: How many processes; few files are scored in this one.
    """
    paths = list(paths)
    if jobs == 1 or len(paths) <= _FILES_PER_PROCESS or STDIN in paths:  # only this process has standard input
        return map(detector.score, paths)
    return ordered_map(_score, paths, jobs=jobs, initializer=_take, initargs=(detector,))


_taken: list[Detector] = []  # the one detector of a worker process


def _take(detector: Detector) -> None:
    _taken[:] = [detector]


def _score(path: str) -> Detection | Skipped:
    return _taken[0].score(path)
