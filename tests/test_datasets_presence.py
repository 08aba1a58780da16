"""Missing audio: counted and named before any work, and quickly."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from layouts import LA_PROTOCOL, asvspoof, manifest, touch

from deepfake_audio.datasets import Dataset, Label, Utterance, missing_audio, read_dataset, require_audio
from deepfake_audio.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path


def dataset(root: Path, *names: str) -> Dataset:
    """Return a data set of these files, whether they are there or not."""
    return Dataset(root, "csv", tuple(Utterance(root / name, Label.SPOOF, name) for name in names))


def test_nothing_is_missing(tmp_path: Path) -> None:
    """Where all is there, nothing is missing and nothing is raised."""
    data = dataset(touch(tmp_path, "a.wav", "b/c.wav"), "a.wav", "b/c.wav")
    assert missing_audio(data) == ()
    require_audio(data)


def test_missing_files_are_named_in_order(tmp_path: Path) -> None:
    """Files, whole directories, and what is no file are missing."""
    touch(tmp_path, "there.wav", "folder.wav/x.wav")
    names = ("z.wav", "there.wav", "nowhere/a.wav", "folder.wav", "there.wav/b.wav", "folder.wav/../there.wav")
    expected = ("z.wav", "nowhere/a.wav", "folder.wav", "there.wav/b.wav")
    assert missing_audio(dataset(tmp_path, *names)) == tuple(tmp_path / name for name in expected)


def test_links_are_followed(tmp_path: Path) -> None:
    """A link to a file is there, one to nowhere is missing."""
    touch(tmp_path, "a.wav")
    (tmp_path / "link.wav").symlink_to(tmp_path / "a.wav")
    (tmp_path / "broken.wav").symlink_to(tmp_path / "gone.wav")
    assert missing_audio(dataset(tmp_path, "link.wav", "broken.wav")) == (tmp_path / "broken.wav",)


@pytest.mark.parametrize("name", ["null\0/a.wav", "null\0.wav", "x" * 300 + "/a.wav", "y" * 300 + ".wav"])
def test_names_that_cannot_be(name: str, tmp_path: Path) -> None:
    """A name that no file can have is missing."""
    assert missing_audio(dataset(tmp_path, name)) == (tmp_path / name,)


def test_relative_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths are seen from where the program runs."""
    manifest(touch(tmp_path, "a.wav"), "path,label\na.wav,real\nb.wav,fake\n")
    monkeypatch.chdir(tmp_path)
    assert [str(path) for path in missing_audio(read_dataset("manifest.csv"))] == ["b.wav"]


def test_a_directory_is_listed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that are there cost one listing of each directory and nothing else."""
    names = [f"{folder}/{n}.wav" for folder in "ab" for n in range(50)]
    data = dataset(touch(tmp_path, *names), *names)
    real_scandir, listed = os.scandir, []

    def scandir(path: str) -> object:
        listed.append(path)
        return real_scandir(path)

    monkeypatch.setattr(os, "scandir", scandir)
    monkeypatch.setattr(type(tmp_path), "is_file", None)
    assert missing_audio(data) == ()
    assert listed == [str(tmp_path / "a"), str(tmp_path / "b")]


def test_a_directory_that_cannot_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a directory may be entered but not listed, each file is asked for."""

    def refuse(path: str) -> object:
        raise PermissionError(13, "Permission denied", path)

    data = dataset(touch(tmp_path, "a.wav"), "a.wav", "b.wav")
    monkeypatch.setattr(os, "scandir", refuse)
    assert missing_audio(data) == (tmp_path / "b.wav",)


def test_what_is_missing_is_told_by_partition(tmp_path: Path) -> None:
    """Counts, the first names, what is complete, and what to do, in one line."""
    dev = "".join(f"LA_0069 LA_D_{number} - A01 spoof\n" for number in range(1, 1_001))
    asvspoof(tmp_path, "LA", train=LA_PROTOCOL, dev=dev)
    audio = "ASVspoof2019_LA_train/flac/"
    touch(tmp_path, f"{audio}LA_T_1138215.flac", f"{audio}LA_T_1271820.flac")
    first = [tmp_path / "ASVspoof2019_LA_dev" / "flac" / f"LA_D_{number}.flac" for number in (1, 2, 3)]
    with pytest.raises(DataError) as raised:
        require_audio(read_dataset(tmp_path))
    assert str(raised.value) == (
        f"{tmp_path}: 1,000 of 1,002 audio files are not there (dev 1,000 of 1,000): {first[0]}, {first[1]}, "
        f"{first[2]}, ...; is the archive unpacked? all of train is there (--partition)"
    )


def test_what_is_missing_without_partitions(tmp_path: Path) -> None:
    """Without partitions only the counts and names are said."""
    with pytest.raises(DataError) as raised:
        require_audio(dataset(touch(tmp_path, "a.wav"), "a.wav", "b.wav"))
    expected = f"{tmp_path}: 1 of 2 audio files are not there: {tmp_path / 'b.wav'}; is the archive unpacked?"
    assert str(raised.value) == expected


def test_real_asvspoof(shared: Path) -> None:
    """Of the real protocols 12 files are there: 2 of train, 10 of eval."""
    data = read_dataset(shared / "asvspoof")
    assert len(missing_audio(data)) == 121_461 - 12
    with pytest.raises(DataError, match=r"train 25,378 of 25,380, dev 24,844 of 24,844, eval 71,227 of 71,237"):
        require_audio(data)
