"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from deepfake_audio.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """
    Open a temporary file beside ``path`` for writing, and move it there once the block ends without an error.

    What stood at ``path`` before stays untouched until then. What is no regular file (``/dev/stdout``, a pipe) is
    written to directly.

    Raises:
        OutputError: If the directory is missing, or nothing can be written there.
    """
    target, is_special = _target(path)
    if is_special:
        try:
            with target.open("wb") as stream:
                yield stream
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError(f"{target}: cannot be written ({error.strerror})") from error
        return
    try:
        # 25 characters are at most 100 bytes: the temporary name must not be too long where the name itself is not.
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:25]}.", suffix=".part")
    except OSError as error:
        raise OutputError(f"{target}: cannot be written ({error.strerror})") from error
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
        with contextlib.suppress(OSError):  # some network file systems know no permissions
            Path(temporary).chmod(_mode_for(target))
        Path(temporary).replace(target)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
            raise OutputError(f"{target}: cannot be written ({error.strerror})") from error
        raise


def require_writable(path: str | os.PathLike[str]) -> None:
    """
    Find out before hours of work, not after, that a result could not be written.

    Raises:
        OutputError: If the directory is missing or not writable, or the path is a directory.
    """
    target, is_special = _target(path)
    if target.is_dir():
        raise OutputError(f"{target}: is a directory; give the name of a file")
    if is_special:
        return  # /dev/stdout and its like, which `replacing` opens as they are
    if not target.parent.is_dir():
        raise OutputError(f"{target}: there is no directory {target.parent}")
    if not os.access(target.parent, os.W_OK):
        raise OutputError(f"{target}: the directory cannot be written to")


def _target(path: str | os.PathLike[str]) -> tuple[Path, bool]:
    """Return the place that a path leads to, and whether something other than a regular file is there."""
    target = Path(path)
    try:
        if target.exists() and not target.is_file():
            return target, True
        return target.resolve(), False  # a link stays a link: the file that it points to is replaced
    except (OSError, RuntimeError, ValueError) as error:  # a name that is too long, a loop of links, a null character
        raise OutputError(f"{target}: cannot be written ({getattr(error, 'strerror', None) or error})") from error


def _mode_for(target: Path) -> int:
    """Return the permissions that a plain ``open`` would have given; temporary files are private to their owner."""
    if target.exists():
        return target.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
