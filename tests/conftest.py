"""What several test modules share."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from commandline import Outcome
from signals import write_voices

from deepfake_audio import cli

if TYPE_CHECKING:
    from commandline import Run

SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the directory of real speech and reference scores, which is not part of this repository."""
    if not (SHARED / "corpus" / "manifest.csv").is_file():
        pytest.skip("needs ../shared, which is not here")
    return SHARED


@pytest.fixture(scope="session")
def voices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small labelled data set, made by the tests."""
    return write_voices(tmp_path_factory.mktemp("voices"))


@pytest.fixture(scope="session")
def tiny_model(voices: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model file that tells the two kinds of `voices` apart; trained in a few seconds."""
    from deepfake_audio.datasets import read_dataset
    from deepfake_audio.recipe import Recipe
    from deepfake_audio.training import train

    path = tmp_path_factory.mktemp("model") / "tiny.onnx"
    recipe = Recipe.of("svm", name="tiny", window_seconds=1.0).changed(features="mfcc", copies=0)
    train(read_dataset(voices), recipe, path)
    return path


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return the command line, run in this process."""
    monkeypatch.setenv("COLUMNS", "80")

    def call(*args: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["deepfake-audio", *map(str, args)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        captured = capsys.readouterr()
        assert isinstance(end.value.code, int)
        return Outcome(end.value.code, captured.out, captured.err)

    return call
