"""Many processes: results in order, little taken ahead, and no process left behind."""

from __future__ import annotations

import itertools
import math
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tasks import die, fail, given, interrupted, pid_of, slowly, take

from deepfake_audio import parallel
from deepfake_audio.errors import AudioError, DeepfakeAudioError, MissingExtraError
from deepfake_audio.parallel import ordered_map, usable_cores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def is_running(pid: int) -> bool:
    """Return whether a process is there and not merely waiting to be buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_order(jobs: int) -> None:
    """Results come in the order of the items, whoever is done first."""
    assert list(ordered_map(slowly, range(40), jobs=jobs)) == list(range(40))


@pytest.mark.parametrize("jobs", [1, 2])
def test_no_items(jobs: int) -> None:
    """Nothing gives nothing."""
    assert list(ordered_map(math.sqrt, [], jobs=jobs)) == []


def test_other_processes_do_the_work() -> None:
    """With one job everything happens here, with more nothing does."""
    assert set(ordered_map(pid_of, range(5), jobs=1)) == {os.getpid()}
    assert os.getpid() not in set(ordered_map(pid_of, range(5), jobs=2))


@pytest.mark.parametrize("jobs", [1, 2])
def test_initializer(jobs: int) -> None:
    """Every process is prepared with the arguments before its first item."""
    results = list(ordered_map(given, range(20), jobs=jobs, initializer=take, initargs=("a", 1)))
    assert results == [["a", 1]] * 20


@pytest.mark.parametrize(("jobs", "ahead"), [(1, 1), (2, 8)])
def test_takes_little_ahead(jobs: int, ahead: int) -> None:
    """From an endless source only a few more items are taken than results were asked for."""
    taken = []

    def source() -> Iterator[int]:
        for item in itertools.count():
            taken.append(item)
            yield item

    results = ordered_map(slowly, source(), jobs=jobs)
    for n_results in range(1, 20):
        assert next(results) == n_results - 1
        assert len(taken) <= n_results - 1 + ahead
    results.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize(("first", "error"), [(0, AudioError), (4, MissingExtraError)])
def test_an_error_in_a_worker_surfaces(jobs: int, first: int, error: type[Exception]) -> None:
    """What the function raises comes out in its place, after the results before it, as the error that it was."""
    results = ordered_map(fail, range(first, 100), jobs=jobs)
    if first == 0:
        assert list(itertools.islice(results, 3)) == [0, 1, 2]
    with pytest.raises(error, match=r"a\.wav: is damaged|extra `media`"):
        next(results)
    assert multiprocessing.active_children() == []


def test_an_error_in_the_source_surfaces() -> None:
    """Where the items cannot be made, the workers end too."""
    with pytest.raises(ZeroDivisionError):
        list(ordered_map(math.sqrt, (1 / (3 - n) for n in range(9)), jobs=2))
    assert multiprocessing.active_children() == []


def test_a_worker_that_dies() -> None:
    """A process that is killed is an error of this package, which says what may help."""
    with pytest.raises(DeepfakeAudioError, match=r"ended abruptly.*--jobs"):
        list(ordered_map(die, range(9), jobs=2))
    assert multiprocessing.active_children() == []


def test_early_close_ends_workers() -> None:
    """Who stops reading leaves no process behind."""
    results = ordered_map(pid_of, itertools.count(), jobs=2)
    pids = {next(results) for _ in range(20)}
    assert all(map(is_running, pids))
    results.close()  # type: ignore[attr-defined]
    assert multiprocessing.active_children() == []
    assert not any(map(is_running, pids))


def test_interrupts_are_left_to_the_parent() -> None:
    """Ctrl-C reaches all processes of a terminal; workers ignore it, and the parent hears it as before."""
    assert list(ordered_map(interrupted, range(20), jobs=2)) == list(range(20))
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_without_signal_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Systems without signal masks, such as Windows, do the same work."""
    monkeypatch.delattr(signal, "pthread_sigmask")
    assert list(ordered_map(slowly, range(5), jobs=2)) == list(range(5))


_PARENT = """
import multiprocessing, time
from deepfake_audio.parallel import ordered_map

results = ordered_map(time.sleep, [0.0, 0.0] + [600.0] * 20, jobs=2)
next(results)
print(*[child.pid for child in multiprocessing.active_children()], flush=True)
list(results)
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_killed_parent_takes_its_workers_along() -> None:
    """After SIGKILL to the parent, which cannot clean up, its busy workers are gone within five seconds."""
    with subprocess.Popen([sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = list(map(int, parent.stdout.readline().split()))
        assert len(pids) == 2
        assert all(map(is_running, pids))
        parent.kill()
    deadline = time.monotonic() + 5
    while any(map(is_running, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    left = [pid for pid in pids if is_running(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == []


def no_parent() -> None:
    """Stand in for a process that nobody started."""


def test_a_worker_watches_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker waits for its parent's end and then ends at once; a process without a parent goes on."""
    ends: list[object] = []

    class Parent:
        def join(self) -> None:
            ends.append("parent")

    monkeypatch.setattr(os, "_exit", ends.append)
    monkeypatch.setattr(parallel, "parent_process", no_parent)
    parallel._end_with_parent()
    assert ends == []
    monkeypatch.setattr(parallel, "parent_process", Parent)
    parallel._end_with_parent()
    assert ends == ["parent", 1]


@pytest.mark.parametrize("initializer", [None, take])
def test_a_worker_begins(initializer: Callable[..., None] | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker first leaves Ctrl-C to others, then is prepared if that was asked for."""
    handlers: list[tuple[object, object]] = []
    monkeypatch.setattr(signal, "signal", lambda *handler: handlers.append(handler))
    monkeypatch.setattr(parallel, "parent_process", no_parent)
    take("a")
    parallel._begin(initializer, ("b",))
    assert handlers == [(signal.SIGINT, signal.SIG_IGN)]
    assert given(None) == ["a" if initializer is None else "b"]


def test_usable_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the cores that this process may use where the system tells, else those of the machine, at least one."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 5, 7}, raising=False)
    assert usable_cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert usable_cores() == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores() == 1
