"""Features on disk, by the hash of all that they depend on: mapped, never loaded whole."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from deepfake_audio.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FloatArray = npt.NDArray[np.float32]

# What a store keeps at most; the features that were not used for longest go first.
MAX_BYTES = 20 << 30


@dataclass(frozen=True)
class FeatureStore:
    """
    A directory of arrays, each in a file that is named after its key.

    Attributes:
        directory: Where they lie; made if it is missing.
        max_bytes: How much the files may take together, beside the one that is being written.
    """

    directory: Path
    max_bytes: int = MAX_BYTES

    def find(self, key: str, shape: tuple[int, ...]) -> FloatArray | None:
        """Return an array that was stored before, mapped from its file, or None."""
        path = self._path(key)
        try:
            values = np.lib.format.open_memmap(path, mode="r")
            os.utime(path)
        except (OSError, ValueError):  # not there, or cut off by a crash
            return None
        return values if values.shape == shape and values.dtype == np.float32 else None

    @contextlib.contextmanager
    def new(self, key: str, shape: tuple[int, ...]) -> Iterator[FloatArray]:
        """
        Give an array to fill, which is stored when the block ends well, and gone when it does not.

        Raises:
            OutputError: If the directory cannot be used, or the disk has no room: a mapped file that runs out of it
                would end the process without a word.
        """
        partial = self._path(f"{key}.{uuid.uuid4().hex}")
        try:
            try:
                self.directory.mkdir(parents=True, exist_ok=True)
                self._make_room(4 * math.prod(shape))
                values = np.lib.format.open_memmap(partial, mode="w+", dtype=np.float32, shape=shape)
            except OSError as error:
                raise OutputError(f"{self.directory}: features cannot be kept there ({error.strerror})") from error
            yield values
            values.flush()
            partial.replace(self._path(key))
        finally:
            with contextlib.suppress(OSError):
                partial.unlink()

    def _path(self, key: str) -> Path:
        return self.directory / f"{key}.npy"

    def _make_room(self, n_bytes: int) -> None:
        files = []
        for path in self.directory.glob("*.npy"):
            with contextlib.suppress(OSError):  # another run may have removed it
                status = path.stat()
                files.append((status.st_mtime, status.st_size, path))
        kept = 0
        for _, size, path in sorted(files, reverse=True):
            kept += size
            if kept > self.max_bytes:
                with contextlib.suppress(OSError):
                    path.unlink()
        free = shutil.disk_usage(self.directory).free
        if n_bytes > free:
            raise OutputError(
                f"{self.directory}: training needs {n_bytes / 1e9:.1f} GB for features, {free / 1e9:.1f} GB are free; "
                "set TMPDIR, or --cache, to a place with more"
            )
