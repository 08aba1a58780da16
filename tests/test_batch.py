"""Many inputs: what is meant by the paths of a command line, and one result for each."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile
from signals import RATE, voice

from deepfake_audio import batch
from deepfake_audio.batch import find_inputs, score_all
from deepfake_audio.detector import Detector, Skipped

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a directory with all kinds of things in it; only names matter here."""
    root = tmp_path / "tree"
    for name in ("b.wav", "a.WAV", "z/deep/er/c.mp3", "z/a.flac", "y/d.m4a", "y/notes.txt", "y/.hidden.wav", "no"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (root / "empty").mkdir()
    (root / "folder.wav").mkdir()
    (root / "z" / "loop").symlink_to(root)
    (root / "y" / "link.wav").symlink_to(root / "b.wav")
    (root / "y" / "broken.wav").symlink_to(root / "gone")
    os.mkfifo(root / "pipe.wav")
    return root


def test_directory_is_searched(tree: Path) -> None:
    """Audio files at any depth, in a stable order; links to directories are not followed, pipes not waited for."""
    expected = ["a.WAV", "b.wav", "y/broken.wav", "y/d.m4a", "y/link.wav", "z/a.flac", "z/deep/er/c.mp3"]
    assert list(find_inputs([tree])) == [str(tree / name) for name in expected]


def test_files_are_taken_as_given(tree: Path) -> None:
    """What is no directory comes out as it went in, in that order, whatever its name, and again if it is repeated."""
    given = [f"{tree}/y/notes.txt", f"{tree}//b.wav", f"{tree}/pipe.wav", f"{tree}/missing.wav", f"{tree}/b.wav"]
    assert list(find_inputs([*given, *given])) == [*given, *given]


def test_files_and_directories_mix(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each path is expanded in its place; a relative one stays relative."""
    monkeypatch.chdir(tree)
    assert list(find_inputs(["b.wav", Path("y"), "-", "z/deep"])) == [
        "b.wav",
        "y/broken.wav",
        "y/d.m4a",
        "y/link.wav",
        "-",
        "z/deep/er/c.mp3",
    ]


def test_standard_input_is_not_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dash is standard input even where a directory has that name."""
    (tmp_path / "-").mkdir()
    (tmp_path / "-" / "a.wav").touch()
    monkeypatch.chdir(tmp_path)
    assert list(find_inputs(["-"])) == ["-"]
    assert list(find_inputs(["./-"])) == ["-/a.wav"]


@pytest.mark.parametrize("path", ["", "x" * 5000, "a\0b", "/dev/null", "\udcff.wav"])
def test_odd_paths_are_kept(path: str) -> None:
    """What cannot even be looked up stays in, so that it gets a record that says so."""
    assert list(find_inputs([path])) == [path]


def test_file_that_cannot_be_looked_at(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file in a directory that may be listed but not entered is kept."""

    def refuse(_path: Path) -> bool:
        raise PermissionError

    monkeypatch.setattr(Path, "is_fifo", refuse)
    assert str(tree / "b.wav") in list(find_inputs([tree]))


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return more recordings than one process would take, some of them unusable."""
    directory = tmp_path_factory.mktemp("many")
    paths = []
    for number in range(24):
        path = directory / f"{number:02}.wav"
        paths.append(str(path))
        if number % 6 == 5:
            continue  # missing
        signal = np.zeros(RATE) if number % 6 == 4 else voice(1.0 + number % 3, seed=number, robotic=number % 2 == 1)
        soundfile.write(path, signal, RATE)
    (directory / "05.wav").write_text("no audio")
    return paths


def test_same_results_for_any_number_of_processes(many: list[str], tiny_model: Path) -> None:
    """The results are the same, one per path, in their order."""
    detector = Detector.load(tiny_model)
    alone = list(score_all(many, detector, jobs=1))
    assert [result.path for result in alone] == many
    assert {type(result).__name__ for result in alone} == {"Detection", "Skipped"}
    assert list(score_all(iter(many), detector, jobs=2)) == alone


def test_the_threshold_travels(many: list[str], tiny_model: Path) -> None:
    """Other processes decide at the threshold that was chosen."""
    detector = Detector.load(tiny_model, threshold=1e9)
    results = list(score_all(many, detector, jobs=2))
    found = [result for result in results if not isinstance(result, Skipped)]
    # What is unlike all that the model knows gets no verdict at any threshold.
    assert {result.verdict for result in found if "out_of_domain" not in result.reasons} == {"deepfake", "no_speech"}


@pytest.mark.parametrize(
    ("n_files", "with_stdin", "jobs", "expected"),
    [
        pytest.param(21, False, 2, "processes", id="many"),
        pytest.param(20, False, 2, "here", id="few"),
        pytest.param(21, False, 1, "here", id="one job"),
        pytest.param(40, True, 2, "here", id="standard input among them"),
    ],
)
def test_where_the_work_is_done(
    n_files: int,
    with_stdin: bool,  # noqa: FBT001 - a parameter of pytest
    jobs: int,
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    tiny_model: Path,
) -> None:
    """Processes are started only for many files; standard input, wherever it stands, belongs to this process."""
    started: list[int] = []

    def start(*_: object, jobs: int, **__: object) -> Iterator[object]:
        started.append(jobs)
        return iter(())

    monkeypatch.setattr(batch, "ordered_map", start)
    detector = Detector.load(tiny_model)
    monkeypatch.setattr(detector, "score", lambda path: path)
    paths = ["missing.wav"] * n_files + ["-"] * with_stdin
    results: list[Any] = list(score_all(paths, detector, jobs=jobs))
    if expected == "here":
        assert started == []
        assert results == paths
    else:
        assert started == [jobs]


def test_results_come_as_they_are_made(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A result is there before the next file is touched."""
    touched: list[str] = []
    detector = Detector.load(tiny_model)
    monkeypatch.setattr(detector, "score", touched.append)
    results = score_all(["a", "b", "c"], detector)
    next(results)
    assert touched == ["a"]


def test_what_a_worker_does(many: list[str], tiny_model: Path) -> None:
    """A worker keeps the copy of the detector that it was sent, and scores with it."""
    detector = Detector.load(tiny_model)
    batch._take(pickle.loads(pickle.dumps(detector)))  # noqa: S301 - our own
    assert batch._score(many[0]) == detector.score(many[0])


def test_a_directory_that_cannot_be_listed_gets_a_record(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files beside it are found, and it comes back as skipped instead of vanishing."""
    closed = tmp_path / "closed"
    closed.mkdir()
    soundfile.write(tmp_path / "a.wav", voice(1.5), RATE)
    scandir = os.scandir

    def refusing(path: str) -> Any:
        if str(path) == str(closed):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    inputs = list(find_inputs([tmp_path]))
    assert inputs == [str(tmp_path / "a.wav"), str(closed)]
    results = list(score_all(inputs, Detector.load(tiny_model)))
    assert isinstance(results[1], Skipped)
    assert "cannot be searched" in results[1].message
