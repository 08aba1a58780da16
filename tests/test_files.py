"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
import sys
import threading
from pathlib import Path
from typing import Any, NoReturn

import pytest

from deepfake_audio.errors import OutputError
from deepfake_audio.files import replacing, require_writable

needs_posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX permissions, links and pipes")


def names(directory: Path) -> list[str]:
    """Return what lies in a directory."""
    return sorted(path.name for path in directory.iterdir())


def fails(code: int) -> Any:
    """Return a function that fails as the operating system does."""

    def fail(*_: Any, **__: Any) -> NoReturn:
        raise OSError(code, os.strerror(code))

    return fail


# --- replacing -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("a.json", id="plain"),
        pytest.param("two words.json", id="space"),
        pytest.param("no-suffix", id="no-suffix"),
        pytest.param(".hidden", id="hidden"),
        pytest.param("x" * 250, id="long"),
        pytest.param("声" * 84, id="long-in-bytes"),
        pytest.param("a\nb", id="line-break", marks=needs_posix),
        pytest.param(
            os.fsdecode(b"caf\xe9"),
            id="undecodable",
            marks=pytest.mark.skipif(sys.platform != "linux", reason="such file names exist on Linux only"),
        ),
    ],
)
@pytest.mark.parametrize("before", [None, b"before"], ids=["new", "existing"])
def test_appears_at_the_end(tmp_path: Path, name: str, before: bytes | None) -> None:
    """Until the block ends nothing changes at the target, then everything is there, and nothing else is left."""
    target = tmp_path / name
    if before:
        target.write_bytes(before)

    with replacing(target) as stream:
        stream.write(b"one ")
        stream.flush()
        assert (target.read_bytes() if target.exists() else None) == before
        stream.write(b"two")

    assert target.read_bytes() == b"one two"
    assert len(names(tmp_path)) == 1


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), BrokenPipeError()], ids=repr)
@pytest.mark.parametrize("before", [None, b"before"], ids=["new", "existing"])
def test_error_inside(tmp_path: Path, error: BaseException, before: bytes | None) -> None:
    """An error inside passes through, the target stays as it was, and no half file is left behind."""
    target = tmp_path / "a.json"
    if before:
        target.write_bytes(before)

    def write() -> None:
        with replacing(target) as stream:
            stream.write(b"half of")
            raise error

    with pytest.raises(type(error)) as caught:
        write()

    assert caught.value is error
    assert names(tmp_path) == (["a.json"] if before else [])
    assert not before or target.read_bytes() == before


def test_disk_full(tmp_path: Path) -> None:
    """A write that the system refuses is an error about the output, named in one line."""
    target = tmp_path / "a.json"

    with (
        pytest.raises(OutputError, match=r"a\.json: cannot be written \(No space left on device\)$"),
        replacing(target),
    ):
        fails(errno.ENOSPC)()

    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("path", "message"),
    [
        pytest.param("missing/a.json", "No such file or directory", id="missing-directory"),
        pytest.param("file/a.json", "Not a directory", id="below-a-file"),
        pytest.param("directory", "Is a directory", id="directory"),
        pytest.param("y" * 300, "File name too long", id="name-too-long"),
        pytest.param("null\0", "embedded null .*", id="null-character"),
    ],
)
@needs_posix
def test_impossible_targets(tmp_path: Path, path: str, message: str) -> None:
    """What cannot be written is refused before anything is computed."""
    (tmp_path / "file").touch()
    (tmp_path / "directory").mkdir()

    with (
        pytest.raises(OutputError, match=rf"{path[-9:]}: cannot be written \({message}\)$"),
        replacing(tmp_path / path),
    ):
        pytest.fail("the block must not run")

    assert names(tmp_path) == ["directory", "file"]


@needs_posix
@pytest.mark.skipif(sys.version_info >= (3, 13), reason="pathlib takes a loop for a new file from 3.13 on")
def test_loop_of_links(tmp_path: Path) -> None:
    """A link to itself leads nowhere."""
    (tmp_path / "loop").symlink_to("loop")

    with pytest.raises(OutputError, match=r"loop: cannot be written \(.*loop"), replacing(tmp_path / "loop"):
        pytest.fail("the block must not run")


@needs_posix
@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_permissions_of_a_new_file(tmp_path: Path, mask: int) -> None:
    """A new file has the permissions that the umask leaves, as if it had been opened, and the umask stays."""
    old = os.umask(mask)
    try:
        with replacing(tmp_path / "a"):
            pass
        (tmp_path / "b").touch()
    finally:
        assert os.umask(old) == mask

    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == stat.S_IMODE((tmp_path / "b").stat().st_mode)


@needs_posix
def test_permissions_of_an_existing_file(tmp_path: Path) -> None:
    """An existing file keeps its permissions."""
    (tmp_path / "a").touch(mode=0o640)
    (tmp_path / "a").chmod(0o640)

    with replacing(tmp_path / "a"):
        pass

    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_file_system_without_permissions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where permissions cannot be set, the file is written all the same."""
    monkeypatch.setattr(Path, "chmod", fails(errno.EPERM))

    with replacing(tmp_path / "a") as stream:
        stream.write(b"content")

    assert (tmp_path / "a").read_bytes() == b"content"


@needs_posix
@pytest.mark.parametrize("exists", [True, False], ids=["file", "dangling"])
def test_links(tmp_path: Path, exists: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """A link stays a link, and what it points to is replaced or made."""
    (tmp_path / "elsewhere").mkdir()
    real = tmp_path / "elsewhere" / "real"
    if exists:
        real.write_bytes(b"before")
    (tmp_path / "link").symlink_to("elsewhere/real")

    with replacing(tmp_path / "link") as stream:
        stream.write(b"after")

    assert (tmp_path / "link").is_symlink()
    assert real.read_bytes() == b"after"
    assert names(tmp_path / "elsewhere") == ["real"]


def test_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bare name lies in the working directory, also if that changes inside."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other").mkdir()

    with replacing("a.json") as stream:
        monkeypatch.chdir("other")
        stream.write(b"content")

    assert names(tmp_path) == ["a.json", "other"]


# --- what is no regular file -----------------------------------------------------------------------------------


@needs_posix
def test_pipe(tmp_path: Path) -> None:
    """A pipe, like /dev/stdout of a pipeline, is written to directly and stays a pipe."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    heard: list[bytes] = []
    reader = threading.Thread(target=lambda: heard.append(pipe.read_bytes()))
    reader.start()

    with replacing(pipe) as stream:
        stream.write(b"content")

    reader.join()
    assert heard == [b"content"]
    assert pipe.is_fifo()
    assert names(tmp_path) == ["pipe"]


@needs_posix
def test_reader_went_away(tmp_path: Path) -> None:
    """A pipe that is closed early, as by ``| head``, gives the usual BrokenPipeError."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: pipe.open("rb").close())
    reader.start()

    def write() -> None:
        with replacing(pipe) as stream:
            reader.join()
            stream.write(bytes(1 << 20))

    with pytest.raises(BrokenPipeError):
        write()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_device_that_is_full() -> None:
    """A device that refuses the data is an error about the output too."""

    def write() -> None:
        with replacing("/dev/full") as stream:
            stream.write(b"content")

    with pytest.raises(OutputError, match=r"^/dev/full: cannot be written \(No space left on device\)$"):
        write()


# --- require_writable ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["a.onnx", "file", "-", "two words"])
def test_writable(tmp_path: Path, path: str) -> None:
    """A file in a directory that exists can be written, and asking does not make it."""
    (tmp_path / "file").touch()

    require_writable(tmp_path / path)

    assert names(tmp_path) == ["file"]


@needs_posix
def test_devices_are_writable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device is no file to replace: whether its directory can be written to does not matter."""
    monkeypatch.setattr(os, "access", lambda *_: False)

    require_writable("/dev/null")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        pytest.param(".", "is a directory; give the name of a file", id="directory"),
        pytest.param("missing/a.onnx", "there is no directory .*missing", id="missing-directory"),
        pytest.param("file/a.onnx", "there is no directory .*file", id="below-a-file"),
    ],
)
def test_not_writable(tmp_path: Path, path: str, message: str) -> None:
    """What cannot be written is named."""
    (tmp_path / "file").touch()

    with pytest.raises(OutputError, match=message):
        require_writable(tmp_path / path)


def test_directory_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So is a directory that only others may write to; root may write everywhere, hence the patch."""
    monkeypatch.setattr(os, "access", lambda *_: False)

    with pytest.raises(OutputError, match=r"a\.onnx: the directory cannot be written to$"):
        require_writable(tmp_path / "a.onnx")
