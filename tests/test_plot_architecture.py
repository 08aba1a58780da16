"""`train --plot-architecture`: the layers of a network as Keras sees them, drawn before anything is learnt."""

from __future__ import annotations

import shutil
import stat
from importlib.util import find_spec
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from deepfake_audio import backends, training
from deepfake_audio.backends import cnn
from deepfake_audio.backends.architectures import ARCHITECTURES
from deepfake_audio.errors import MissingExtraError, OutputError

if TYPE_CHECKING:
    from pathlib import Path

    from commandline import Run

SHAPE = (40, 120)
STARTS = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}
needs_graphviz = pytest.mark.skipif(
    not all(map(find_spec, ("keras", "tensorflow", "tf2onnx", "pydot"))) or shutil.which("dot") is None,
    reason="needs the extras cnn and viz, and Graphviz",
)


@needs_graphviz
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_can_be_drawn(architecture: str, tmp_path: Path) -> None:
    """Each network is drawn with its layers and their shapes, from the features to the logit."""
    path = tmp_path / "a.svg"
    cnn.plot_network(path, SHAPE, cnn.Options(architecture=architecture, hidden=0))
    words = "\n".join(ET.parse(path).getroot().itertext())  # noqa: S314 - our own
    for expected in ("features", "(None, 40, 120)", "conv2d", "logit", "(None, 1)"):
        assert expected in words


@needs_graphviz
@pytest.mark.parametrize("suffix", cnn.PLOT_SUFFIXES)
def test_formats(suffix: str, tmp_path: Path) -> None:
    """The suffix is the format, in capitals too."""
    for name in (f"a{suffix}", f"b{suffix.upper()}"):
        cnn.plot_network(tmp_path / name, SHAPE, cnn.Options(architecture="cnn"))
        assert (tmp_path / name).read_bytes().startswith(STARTS[suffix[1:]])


@needs_graphviz
def test_it_is_drawn_before_training(voices: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who looks at the network need not wait for it: the drawing is there when training starts."""
    path = tmp_path / "a.png"

    def stop(*_args: object, **_options: object) -> None:
        assert path.read_bytes().startswith(STARTS["png"])
        raise OutputError("training started")

    monkeypatch.setattr(training, "train", stop)
    outcome = run("train", voices, "--backend", "cnn", "-o", tmp_path / "m.onnx", "--plot-architecture", path)
    assert outcome.err.endswith("deepfake-audio: training started\n")


@needs_graphviz
def test_a_dot_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """Where Graphviz ends with an error that is one line, and there is no file, nor anything on standard output."""
    (tmp_path / "bin").mkdir()
    broken = tmp_path / "bin" / "dot"
    broken.write_text("#!/bin/sh\necho broken >&2\nexit 3\n")
    broken.chmod(broken.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    with pytest.raises(OutputError, match=r"a\.png: Graphviz could not draw the network \(.*returned code: 3\)$"):
        cnn.plot_network(tmp_path / "a.png", SHAPE, cnn.Options(architecture="cnn"))
    assert not (tmp_path / "a.png").exists()
    assert capfd.readouterr().out == ""


def test_without_pydot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install."""
    monkeypatch.setattr(cnn, "find_spec", lambda _name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'deepfake-audio\[viz\]'"):
        cnn.require_graphviz(tmp_path / "a.png")


def test_without_graphviz(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install, and that it is no Python package."""
    monkeypatch.setattr(cnn, "find_spec", lambda _name: object())
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(OutputError, match="the program `dot`: apt install graphviz"):
        cnn.require_graphviz(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("name", "words"), [("a.gif", r"ends in \.png, \.svg, \.pdf"), ("no/a.png", "there is no dir")]
)
def test_files_that_cannot_be_written(name: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong suffix and a missing directory are found before any work."""
    monkeypatch.setattr(cnn, "find_spec", lambda _name: object())
    monkeypatch.setattr(shutil, "which", lambda name: name)
    with pytest.raises(OutputError, match=words):
        cnn.require_graphviz(tmp_path / name)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--backend", "svm"], "draws one CNN, the recipe has 0"),
        (["--recipe", "two.toml"], "draws one CNN, the recipe has 2"),
        (["--backend", "cnn", "--plot-architecture", "m.onnx"], "ends in"),
        (["--backend", "cnn", "--plot-architecture", "two.toml", "--runs", "two.toml"], "is an input"),
    ],
    ids=" ".join,
)
def test_wrong_usage(options: list[str], words: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said before any recording is read, with exit code 2."""
    monkeypatch.chdir(tmp_path)
    for module in (backends, cnn):
        monkeypatch.setattr(module, "find_spec", lambda _name: object())
    monkeypatch.setattr(shutil, "which", lambda name: name)
    (tmp_path / "two.toml").write_text('[[members]]\nbackend = "cnn"\n' * 2)
    plot = [] if "--plot-architecture" in options else ["--plot-architecture", "a.png"]
    outcome = run("train", tmp_path / "no-such-data", "-o", "m.onnx", *options, *plot)
    assert (outcome.code, outcome.out) == (2, "")
    assert words in " ".join(outcome.err.replace("│", " ").split())
    assert "no-such-data" not in outcome.err
    assert [path.name for path in tmp_path.iterdir()] == ["two.toml"]
