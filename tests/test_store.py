"""The feature store: what was stored is found, whole or not at all, and the oldest goes first."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest

from deepfake_audio.errors import OutputError
from deepfake_audio.store import FeatureStore

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = (2, 5)
VALUES = np.arange(10, dtype=np.float32).reshape(SHAPE)


class Usage(NamedTuple):
    """What `shutil.disk_usage` returns."""

    total: int
    used: int
    free: int


def put(store: FeatureStore, key: str, used: float | None = None) -> None:
    """Store the values; optionally as if last used at a time."""
    with store.new(key, SHAPE) as out:
        out[:] = VALUES
    if used is not None:
        os.utime(store.directory / f"{key}.npy", (used, used))


def keys(store: FeatureStore) -> set[str]:
    """Return what lies in the directory."""
    return {path.name for path in store.directory.iterdir()}


def test_what_was_stored_is_found(tmp_path: Path) -> None:
    """The values come back, mapped and read-only, from a directory that is made when it is needed."""
    store = FeatureStore(tmp_path / "a" / "b")
    assert store.find("key", SHAPE) is None
    put(store, "key")
    found = store.find("key", SHAPE)
    assert isinstance(found, np.memmap)
    assert not found.flags.writeable
    np.testing.assert_array_equal(found, VALUES)
    assert keys(store) == {"key.npy"}


def test_a_key_can_be_stored_again(tmp_path: Path) -> None:
    """The later values replace the earlier ones; who has the earlier ones open keeps them."""
    store = FeatureStore(tmp_path)
    put(store, "key")
    before = store.find("key", SHAPE)
    with store.new("key", SHAPE) as out:
        out[:] = 1.0
    after = store.find("key", SHAPE)
    assert before is not None
    assert after is not None
    np.testing.assert_array_equal(before, VALUES)
    np.testing.assert_array_equal(after, np.ones(SHAPE))


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    """What was being written when a run failed is gone, and what was stored before stays."""
    store = FeatureStore(tmp_path)
    put(store, "other")
    with pytest.raises(KeyboardInterrupt), store.new("key", SHAPE):
        raise KeyboardInterrupt
    assert keys(store) == {"other.npy"}


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"no array", id="text"),
        pytest.param(b"PK\x03\x04", id="zip"),
        pytest.param(None, id="cut off"),
    ],
)
def test_a_damaged_file_is_no_hit(tmp_path: Path, content: bytes | None) -> None:
    """A file that a crash cut off, or that is none of ours, counts as missing and can be written anew."""
    store = FeatureStore(tmp_path)
    put(store, "key")
    path = tmp_path / "key.npy"
    path.write_bytes(path.read_bytes()[:-4] if content is None else content)
    assert store.find("key", SHAPE) is None
    put(store, "key")
    assert store.find("key", SHAPE) is not None


@pytest.mark.parametrize(
    "values",
    [VALUES.astype(np.float64), VALUES.ravel(), np.array([None])],
    ids=["another type", "another shape", "objects"],
)
def test_another_array_is_no_hit(tmp_path: Path, values: np.ndarray) -> None:
    """What lies under the key must have the type and the shape that are asked for."""
    np.save(tmp_path / "key.npy", values, allow_pickle=True)
    assert FeatureStore(tmp_path).find("key", SHAPE) is None


def test_the_least_recently_used_go_first(tmp_path: Path) -> None:
    """Room is made before a new array by what was not used for longest; being found counts as use."""
    size = 128 + VALUES.nbytes
    store = FeatureStore(tmp_path, max_bytes=2 * size)
    for number in range(3):
        put(store, f"{number}", used=1_000 + number)
    assert keys(store) == {"0.npy", "1.npy", "2.npy"}  # the one that was being written comes on top
    assert store.find("0", SHAPE) is not None
    put(store, "3")
    assert keys(store) == {"0.npy", "2.npy", "3.npy"}


def test_another_run_may_make_room_at_the_same_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that are gone by the time they are looked at or removed are no error."""
    store = FeatureStore(tmp_path, max_bytes=0)
    put(store, "kept")
    (tmp_path / "gone.npy").symlink_to(tmp_path / "nowhere")
    (tmp_path / "stuck.npy").mkdir()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1, 0, 1 << 20))
    put(store, "new")
    assert keys(store) == {"gone.npy", "stuck.npy", "new.npy"}


def test_no_room_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too little room is found out before anything is written, and the message has both sizes."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10, 9, 1_000_000_000))
    store = FeatureStore(tmp_path)
    with pytest.raises(OutputError, match=r"needs 4\.0 GB for features, 1\.0 GB are free; set TMPDIR, or --cache, to"):
        store.new("key", (1000, 1000, 1000)).__enter__()
    assert keys(store) == set()


def test_a_directory_that_cannot_be_used(tmp_path: Path) -> None:
    """Where the directory would be there is a file."""
    (tmp_path / "file").touch()
    store = FeatureStore(tmp_path / "file")
    assert store.find("key", SHAPE) is None
    with pytest.raises(OutputError, match="file: features cannot be kept there"):
        put(store, "key")
