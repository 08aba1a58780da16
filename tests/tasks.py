"""What tests give worker processes to do: functions that a fresh process can import."""

from __future__ import annotations

import os
import signal
import time

from deepfake_audio.errors import AudioError, MissingExtraError


def slowly(item: int) -> int:
    """Return the item, early ones last."""
    time.sleep(0.002 * (7 - item % 8))
    return item


def pid_of(_item: object) -> int:
    """Return which process this is."""
    return os.getpid()


def fail(item: int) -> int:
    """Raise what a worker may raise."""
    if item == 3:
        raise AudioError("damaged", "a.wav: is damaged")
    if item == 4:
        raise MissingExtraError("media", "reading this")
    return item


def interrupted(item: int) -> int:
    """Get a Ctrl-C, as all processes of a terminal do."""
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.01)
    return item


def die(_item: int) -> None:
    """End without a word, as when the system is out of memory."""
    os.kill(os.getpid(), signal.SIGKILL)


_given: list[object] = []


def take(*values: object) -> None:
    """Keep what the initializer was given."""
    _given[:] = values


def given(_item: object) -> list[object]:
    """Return what the initializer was given."""
    return _given
