"""
A data set out of genuine recordings alone: synthetic copies of them, and a manifest that `training` reads.

Each copy keeps speaker, room and channel of its original and is in its group, so that both are on one side of a split.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import soundfile

from deepfake_audio.audio import display_name, open_recording
from deepfake_audio.datasets import Label, read_dataset
from deepfake_audio.errors import AudioError, DataError, OutputError
from deepfake_audio.files import replacing
from deepfake_audio.parallel import ordered_map
from deepfake_audio.resynthesis import METHODS, available_methods, require_method, splice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

FloatArray = npt.NDArray[np.float32]

# Training uses no more of one recording either, and memory stays small.
MAX_SECONDS = 60.0
# A quieter signal would be all zeros in 16 bits.
_QUIETEST = 2.0**-15
# Above this rate, FLAC stores multiples of 10 Hz only.
_ODD_FLAC_RATES = 65_535
# With so many folders, each is a group; with fewer, each file is.
_ENOUGH_FOLDERS = 10
_COLUMNS = ("path", "label", "source", "group", "system", "start_seconds", "end_seconds")


@dataclass(frozen=True)
class Plan:
    """
    How copies are made.

    Attributes:
        methods: Names in ``METHODS``; all that are installed where none is given.
        copies: How many copies of each recording; as long as there are methods left, each by another one.
        spliced: Whether only a stretch of each copy is synthetic.
        seed: Same seed, same recordings, same copies.
    """

    methods: tuple[str, ...] = ()
    copies: int = 1
    spliced: bool = False
    seed: int = 0


@dataclass(frozen=True)
class Copy:
    """One synthetic copy: where it is below the output, how it was made, and which stretch of it is synthetic."""

    path: str
    system: str
    start_seconds: float
    end_seconds: float


@dataclass(frozen=True)
class Synthesis:
    """What was made: the manifest, the number of copies, and a line for each recording that could not be used."""

    manifest: Path
    n_copies: int
    bad: tuple[str, ...]


@dataclass(frozen=True)
class _Task:
    path: str
    name: str
    number: int
    out: Path
    plan: Plan


def synthesise(
    directory: Path,
    inputs: Sequence[str],
    out: Path,
    plan: Plan,
    *,
    jobs: int = 1,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> Synthesis:
    """
    Make synthetic copies of genuine recordings, and a manifest of both.

    Args:
        directory: Where the recordings are.
        inputs: The files below it.
        out: A directory that is empty or not there yet: ``out/spoof/METHOD/...`` and ``out/manifest.csv`` are written.
        plan: How.
        jobs: How many processes.
        progress: Told the stage, the step, and the number of steps.

    Raises:
        DataError: If there are no recordings, none can be used, or there are deepfakes among them.
        OutputError: If the output is not empty, lies among the recordings, or cannot be written.
        MissingExtraError: If a method is not installed.
    """
    for method in plan.methods:
        require_method(method)
    _require_genuine(directory, inputs)
    _prepare(out, directory)
    plan = replace(plan, methods=plan.methods or available_methods())
    tasks = [_Task(p, Path(p).relative_to(directory).as_posix(), i, out, plan) for i, p in enumerate(inputs)]
    bad, rows, n_copies = [], [], 0
    results = ordered_map(_copies_of, tasks, jobs=min(jobs, len(tasks)))
    for task, result in zip(tasks, results, strict=True):
        if isinstance(result, str):
            bad.append(result)
        else:
            rows += list(_rows(task, result, directory.resolve()))
            n_copies += len(result)
        progress("synthesising", task.number + 1, len(tasks))
    if not rows:
        raise DataError(f"{directory}: none of {len(inputs):,} recordings can be used; the first: {bad[0]}")
    _write_manifest(out / "manifest.csv", rows)
    return Synthesis(out / "manifest.csv", n_copies, tuple(bad))


def _require_genuine(directory: Path, inputs: Sequence[str]) -> None:
    if not directory.is_dir():
        raise DataError(f"{directory}: there is no such directory")
    if not inputs:
        raise DataError(f"{directory}: no audio files below it")
    try:
        labelled = read_dataset(directory, "folders")
    except DataError:
        return  # nothing there has a label
    if spoofed := [u for u in labelled.utterances if not u.is_bonafide]:
        raise DataError(
            f"{directory}: holds deepfakes, such as {spoofed[0].path}; give the directory of the genuine recordings"
        )


def _prepare(out: Path, directory: Path) -> None:
    """Make the output directory, which must hold nothing and must not lie where the recordings are."""
    if out.resolve().is_relative_to(directory.resolve()):
        raise OutputError(f"{out}: lies inside {directory}, so its deepfakes would be taken for genuine next time")
    try:
        out.mkdir(parents=True, exist_ok=True)
        is_empty = next(out.iterdir(), None) is None
    except OSError as error:
        raise OutputError(f"{out}: cannot be made or read ({error.strerror})") from error
    if not is_empty:
        raise OutputError(f"{out}: is not empty; give another directory")


# --- copies ----------------------------------------------------------------------------------------------------


def _copies_of(task: _Task) -> list[Copy] | str:
    """Write the copies of one recording, or say why there are none; runs in a worker."""
    from threadpoolctl import threadpool_limits

    try:
        task.path.encode()
        signal, sample_rate = _read(task.path)
    except UnicodeEncodeError:
        return f"{display_name(task.path)}: its name is not UTF-8, which a manifest is; rename it"
    except AudioError as error:
        return str(error)
    if np.abs(signal).max() < _QUIETEST:
        return f"{display_name(task.path)}: there is no sound in it"
    methods = np.random.default_rng([task.plan.seed, task.number]).permutation(task.plan.methods).tolist()
    # Sums in several threads are rounded otherwise, and then the last bit would depend on the number of processes.
    with threadpool_limits(1):
        return [
            _copy(task, signal, sample_rate, methods[number % len(methods)], number)
            for number in range(task.plan.copies)
        ]


def _copy(task: _Task, signal: FloatArray, sample_rate: int, method: str, number: int) -> Copy:
    rng = np.random.default_rng([task.plan.seed, task.number, number])
    copy = METHODS[method](signal, sample_rate, rng)
    start, end, system = 0.0, len(signal) / sample_rate, method
    if task.plan.spliced:
        copy, start, end = splice(signal, copy, sample_rate, rng)
        system = f"{method}-splice"
    path = f"spoof/{system}/{task.name}-{number + 1}.flac"
    _write(task.out / path, copy, sample_rate)
    return Copy(path, system, start, end)


def _read(path: str) -> tuple[FloatArray, int]:
    """Return the first minute of a recording, and its sample rate: its own unless FLAC cannot hold that."""
    held: list[FloatArray] = []
    with open_recording(path) as recording:
        rate = recording.sample_rate
        if rate > _ODD_FLAC_RATES and rate % 10:
            rate = 48_000
        missing = round(MAX_SECONDS * rate)
        for block in recording.blocks(rate):
            held.append(block[:missing])
            missing -= len(held[-1])
            if missing == 0:
                break
        return np.concatenate(held), rate


def _write(path: Path, signal: FloatArray, sample_rate: int) -> None:
    """Write 16 bits, turned down where they would clip."""
    buffer = io.BytesIO()
    loudest = max(1.0, float(np.abs(signal).max()) * (1 + 2.0**-15))
    soundfile.write(buffer, signal / np.float32(loudest), sample_rate, format="FLAC", subtype="PCM_16")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path.parent}: cannot be made ({error.strerror})") from error
    with replacing(path) as stream:
        stream.write(buffer.getvalue())


# --- manifest --------------------------------------------------------------------------------------------------


def _rows(task: _Task, copies: Sequence[Copy], directory: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of a recording and of its copies; each names its file as its group."""
    shared = {"source": str(Path(task.name).parent), "group": task.name}
    shared["source"] = directory.name if shared["source"] == "." else shared["source"]
    yield {"path": str(directory / task.name), "label": Label.BONAFIDE, **shared}
    for copy in copies:
        stretch = {"start_seconds": f"{copy.start_seconds:.3f}", "end_seconds": f"{copy.end_seconds:.3f}"}
        yield {"path": copy.path, "label": Label.SPOOF, **shared, "system": copy.system, **stretch}


def _write_manifest(path: Path, rows: Sequence[dict[str, str]]) -> None:
    by_folder = len({row["source"] for row in rows}) >= _ENOUGH_FOLDERS
    with replacing(path) as raw:
        stream = io.TextIOWrapper(raw, encoding="utf-8", newline="")
        writer = csv.DictWriter(stream, _COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows({**row, "group": row["source"]} if by_folder else row for row in rows)
        stream.flush()
        stream.detach()
