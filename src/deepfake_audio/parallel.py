"""The same function over many items, in order, by several processes."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections import deque
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from typing import TYPE_CHECKING, TypeVar

from deepfake_audio.errors import DeepfakeAudioError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Item = TypeVar("Item")
Result = TypeVar("Result")

# Items handed to each worker ahead of need: enough that none waits, few enough that memory stays small.
_AHEAD = 4
# More than these cannot be waited for on Windows.
_MOST_ON_WINDOWS = 61


def usable_cores() -> int:
    """Return how many cores this process may use, which can be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def ordered_map(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    jobs: int,
    initializer: Callable[..., None] | None = None,
    initargs: tuple[object, ...] = (),
) -> Iterator[Result]:
    """
    Yield ``function(item)`` for each item, in the order of the items, taking only a few items ahead.

    Args:
        function: Importable from its module, since fresh processes call it.
        items: What to call it with.
        jobs: How many processes; with 1 everything happens in this one.
        initializer: Called once in each process before the first item.
        initargs: What to call it with.

    Raises:
        DeepfakeAudioError: If a process dies without a Python error. What ``function`` raises comes through as it is.
    """
    if jobs == 1:
        if initializer is not None:
            initializer(*initargs)
        yield from map(function, items)
        return
    jobs = min(jobs, _MOST_ON_WINDOWS) if sys.platform == "win32" else jobs
    pool = ProcessPoolExecutor(
        jobs, mp_context=get_context("spawn"), initializer=_begin, initargs=(initializer, initargs)
    )
    pending: deque[Future[Result]] = deque()
    try:
        for item in items:
            with _interrupts_held():  # here processes start
                pending.append(pool.submit(function, item))
            if len(pending) >= jobs * _AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    except BrokenProcessPool as error:
        raise DeepfakeAudioError(
            "a worker process ended abruptly, perhaps for want of memory; fewer --jobs need less"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back for the length of the block; a process that starts in it never gets one, not even at first."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _begin(initializer: Callable[..., None] | None, initargs: tuple[object, ...]) -> None:
    """Leave Ctrl-C to the parent, which ends its workers, end with it if it is killed, and initialise."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if initializer is not None:
        initializer(*initargs)


def _end_with_parent() -> None:
    if parent := parent_process():
        parent.join()
        os._exit(1)
