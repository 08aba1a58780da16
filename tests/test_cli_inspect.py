"""`deepfake-audio inspect`: what it writes, what it refuses, and Netron."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx
import pytest
from graphs import KINDS, WINDOW, fusion, kernel_machine, made_model, metadata_of
from onnx import helper

from deepfake_audio import runtime
from deepfake_audio.assembly import Branch, assembled
from deepfake_audio.modelfile import SHIPPED, read_model, write_model

if TYPE_CHECKING:
    from collections.abc import Iterator

    from commandline import Run

HEAVY = ("tensorflow", "keras", "sklearn", "librosa", "scipy", "matplotlib", "netron", "onnxruntime")
needs_netron = pytest.mark.skipif(find_spec("netron") is None, reason="needs the extra viz")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Return a model file that was fitted to nothing."""
    path = tmp_path / "m.onnx"
    write_model(path, assembled([Branch(KINDS, [kernel_machine()])], WINDOW), metadata_of(KINDS, familiarity=0.1))
    return path


# --- what it writes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [None, *SHIPPED])
def test_table(name: str | None, run: Run) -> None:
    """A shipped model is told of by its name, the default one without any; messages there are none."""
    outcome = run("inspect", *([] if name is None else [name]))
    assert (outcome.code, outcome.err) == (0, "")
    found = read_model(name or "default")
    assert f"{found.metadata.name} (backend {found.metadata.backend}" in outcome.out
    for words in ("front end", "calibration", "not measured"):
        assert words in outcome.out
    assert found.sha256 in outcome.out.replace("\n", "").replace(" ", "")


def test_json(model: Path, run: Run, tmp_path: Path) -> None:
    """JSON goes to standard output, or to a file, which its suffix is enough for."""
    outcome = run("inspect", model, "-f", "json")
    assert (outcome.code, outcome.err) == (0, "")
    record = json.loads(outcome.out)
    assert record["schema"] == "deepfake-audio-model/1"
    assert record["path"] == str(model)
    assert record["sha256"] == read_model(model).sha256
    assert len(record["nodes"]) == len(onnx.load(model).graph.node)
    assert run("inspect", model, "-o", tmp_path / "m.json").out == ""
    assert json.loads((tmp_path / "m.json").read_text()) == record
    assert run("inspect", model, "-o", tmp_path / "m.txt").code == 0
    assert (tmp_path / "m.txt").read_text().startswith("model ")


def test_json_is_the_same_each_time(model: Path, run: Run) -> None:
    """Nothing in it was measured, so it can be compared."""
    assert run("inspect", model, "-f", "json").out == run("inspect", model, "-f", "json").out


def test_nodes(model: Path, run: Run) -> None:
    """The operators are listed on demand."""
    assert "ReduceMax" not in run("inspect", model).out
    assert "ReduceMax" in run("inspect", model, "--nodes").out


def test_measure(model: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model is run only where that was asked for; then the speed is told."""
    opened: list[int] = []
    real = runtime.open_session

    def watched(content: bytes) -> Any:
        opened.append(len(content))
        return real(content)

    monkeypatch.setattr(runtime, "open_session", watched)
    assert run("inspect", model).code == 0
    assert opened == []
    outcome = run("inspect", model, "--measure", "-f", "json")
    assert opened == [model.stat().st_size]
    measured = json.loads(outcome.out)["cost"]["measured"]
    assert measured["threads"] == 1
    assert measured["windows"] >= 5
    assert measured["audio_seconds_per_second"] == pytest.approx(measured["windows_per_second"] / 4, abs=0.01)


def test_plot(model: Path, run: Run, tmp_path: Path) -> None:
    """The drawing is written beside what is printed."""
    for suffix, start in (("png", b"\x89PNG"), ("svg", b"<?xml")):
        outcome = run("inspect", model, "--plot", tmp_path / f"a.{suffix}")
        assert (outcome.code, outcome.err) == (0, "")
        assert "kernel of mfcc" in outcome.out
        assert (tmp_path / f"a.{suffix}").read_bytes().startswith(start)


def test_a_fusion(run: Run, tmp_path: Path) -> None:
    """Members of a model have their parts each."""
    path = tmp_path / "fusion.onnx"
    write_model(path, *fusion())
    assert "member 2: 3 classifiers, each of them" in run("inspect", path).out


def test_a_trained_model(tiny_model: Path, run: Run) -> None:
    """What training wrote is told of: its data, how well it did on what was held out, and what it was made with."""
    record = json.loads(run("inspect", tiny_model, "-f", "json").out)
    assert record["training"]["data"]["all"]["bonafide"] == 30
    assert [kind["kind"] for kind in record["front_end"]] == ["mfcc"]
    assert [stage["kind"] for stage in record["stages"]] == ["features", "kernel", "machine", "score"]
    text = run("inspect", tiny_model).out
    assert "30 genuine, 30 deepfake" in text
    assert "held out" in text


# --- what it refuses -------------------------------------------------------------------------------------------


def bad_files(directory: Path, good: bytes) -> dict[str, bytes]:
    """Return files that are no model of ours, by their names."""
    foreign = made_model([helper.make_node("Relu", ["signal"], ["score"])], {}, {"signal": ["n", 5]})
    control = onnx.ModelProto.FromString(good)
    control.graph.node[0].op_type = "If"
    control.graph.node[0].attribute.append(helper.make_attribute("then_branch", foreign.graph))
    external = onnx.ModelProto.FromString(good)
    external.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL
    external.graph.initializer[0].external_data.add(key="location", value=str(directory / "secret"))
    return {
        "empty": b"",
        "text": b"this is no model\n" * 100,
        "pickle": pickle.dumps({"a": 1}),
        "zip": b"PK\x03\x04rest",
        "cut": good[: len(good) // 2],
        "foreign": foreign.SerializeToString(),
        "control": control.SerializeToString(),
        "external": external.SerializeToString(),
    }


@pytest.mark.parametrize("name", ["empty", "text", "pickle", "zip", "cut", "foreign", "control", "external"])
def test_files_that_are_no_model(name: str, model: Path, run: Run, tmp_path: Path) -> None:
    """Each is refused in one line that names it, with exit code 2, and leaves no file."""
    path = tmp_path / f"{name}.onnx"
    path.write_bytes(bad_files(tmp_path, model.read_bytes())[name])
    outcome = run("inspect", path, "-o", tmp_path / "o.json", "--plot", tmp_path / "o.png")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(f"deepfake-audio: {path}: ")
    assert outcome.err.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"m.onnx", f"{name}.onnx"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["missing.onnx"], "there is no such model file"),
        (["."], "is a directory, not a model file"),
        (["m.onnx", "-o", "m.onnx"], "is an input; give the result another name"),
        (["m.onnx", "--plot", "m.onnx"], "is an input; give the result another name"),
        (["m.onnx", "--plot", "a.pdf"], "ends in .png or .svg"),
        (["m.onnx", "--plot", "nowhere/a.png"], "there is no directory"),
        (["m.onnx", "-o", "nowhere/a.json"], "cannot be written"),
        (["m.onnx", "-o", "a.png", "--plot", "a.png"], "name the same file"),
        (["m.onnx", "--netron", "-o", "a.json"], "--netron shows the graph instead"),
        (["m.onnx", "--netron", "--nodes"], "--netron shows the graph instead"),
        (["m.onnx", "-f", "csv"], "'csv' is not one of"),
        (["m.onnx", "other.onnx"], "unexpected extra argument"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage(
    options: list[str], words: str, model: Path, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What cannot be done is said before anything is, with exit code 2, and no file is left or changed."""
    before = model.read_bytes()
    monkeypatch.chdir(tmp_path)
    outcome = run("inspect", *options)
    assert (outcome.code, outcome.out) == (2, "")
    assert words in " ".join(outcome.err.replace("│", " ").split())
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]
    assert model.read_bytes() == before


def test_names_that_would_clear_the_screen(run: Run, tmp_path: Path) -> None:
    """Control characters from a file never reach a terminal."""
    node = helper.make_node("ReduceMean", ["signal"], ["score"], axes=[1], keepdims=0, name="\x1b[2J\x07")
    write_model(
        tmp_path / "m.onnx",
        made_model([node], {}, {"signal": ["n", WINDOW]}),
        metadata_of(versions={"\x1b[31m": "\x9b"}),
    )
    for more in (["--nodes"], ["-f", "json"]):
        assert not set(run("inspect", tmp_path / "m.onnx", *more).out) & {"\x1b", "\x07"}
    assert "\x9b" not in run("inspect", tmp_path / "m.onnx").out


class Netron:
    """Stands in for the module, and keeps what it was told."""

    def __init__(self, model: Path) -> None:
        self.content, self.calls = model.read_bytes(), list[object]()

    def start(self, file: str, *, address: tuple[str, int | None], browse: bool) -> tuple[str, int]:
        """Take a model to serve."""
        assert Path(file).read_bytes() == self.content
        assert os.listdir(Path(file).parent) == [Path(file).name]  # noqa: PTH208 - names are compared
        self.calls.append((Path(file).name, address, browse))
        return (address[0], 8080)

    def wait(self) -> None:
        """Serve it."""
        self.calls.append("wait")


def test_what_netron_is_told(model: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets a copy that lies alone, the address of this machine alone, and opens no browser without a terminal."""
    netron = Netron(model)
    command = sys.modules["deepfake_audio.cli.inspect"]
    monkeypatch.setattr(command, "find_spec", lambda _name: object())
    monkeypatch.setattr(command, "import_module", lambda name: {"netron": netron}[name])
    outcome = run("inspect", model, "--netron")
    assert (outcome.code, outcome.out, outcome.err) == (0, "http://127.0.0.1:8080\n", "")
    assert netron.calls == [("m.onnx", ("127.0.0.1", None), False), "wait"]


def test_netron_that_is_not_installed(model: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line says what to install."""
    monkeypatch.setattr(sys.modules["deepfake_audio.cli.inspect"], "find_spec", lambda _name: None)
    outcome = run("inspect", model, "--netron")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == "deepfake-audio: --netron needs the extra `viz`: pip install 'deepfake-audio[viz]'\n"


# --- what it costs ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [["--help"], ["default"], ["default", "-f", "json"]], ids=" ".join)
def test_heavy_libraries_are_left_alone(options: list[str]) -> None:
    """Neither help nor the tables import what takes seconds, nor anything that could run a model."""
    program = (
        "import sys\nfrom deepfake_audio import cli\n"
        f"sys.argv = ['deepfake-audio', 'inspect', *{options!r}]\n"
        "try:\n    cli.main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "[]\n"


# --- Netron ----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def netron_of(model: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Yield a process that shows a model in Netron, and the address that it printed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "deepfake_audio", "inspect", str(model), "--netron"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().rstrip("\n")
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def fetched(address: str) -> bytes:
    """Return what an address gives."""
    with urllib.request.urlopen(address, timeout=20) as response:  # noqa: S310 - of this machine
        content: bytes = response.read()
    return content


@needs_netron
def test_netron(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the address is printed; page and model are there, no other file is; Ctrl-C ends it and leaves nothing."""
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    path = model.rename(tmp_path / 'a "><b>x.onnx')
    with netron_of(path) as (process, address):
        assert address.startswith("http://127.0.0.1:")
        page = fetched(address).decode()
        assert "Netron" in page
        assert "<b>x" not in page
        assert "/data/a----b-x.onnx" in page
        assert fetched(f"{address}/data/a----b-x.onnx") == path.read_bytes()
        for other in ("secret.txt", "../secret.txt", "%2e%2e/secret.txt", "../../secret.txt"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                fetched(f"{address}/data/{other}")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
        assert (process.returncode, out, err) == (0, "", "")
    assert list((tmp_path / "tmp").iterdir()) == []
    with pytest.raises(urllib.error.URLError):
        fetched(address)


@needs_netron
def test_netron_listens_to_this_machine_alone(model: Path) -> None:
    """The address is of the loopback interface; no socket of the process is bound to all of them."""
    if not Path("/proc/net/tcp").exists():
        pytest.skip("needs /proc")
    with netron_of(model) as (_, address):
        port = int(address.rpartition(":")[2])
        lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        lines += [line.split() for line in Path("/proc/net/tcp6").read_text().splitlines()[1:]]
        listening = [line[1] for line in lines if line[3] == "0A" and line[1].endswith(f":{port:04X}")]
        assert listening == [f"0100007F:{port:04X}"]


@needs_netron
def test_netron_ends_when_it_is_told_to(model: Path) -> None:
    """The signal that ends processes ends it, too."""
    with netron_of(model) as (process, address):
        assert fetched(address)
        process.terminate()
        process.communicate(timeout=20)
        assert process.returncode == 0


@needs_netron
def test_netron_shows_no_bad_file(tmp_path: Path, run: Run) -> None:
    """What is no model of ours is refused first."""
    (tmp_path / "m.onnx").write_bytes(b"no model")
    outcome: Any = run("inspect", tmp_path / "m.onnx", "--netron")
    assert (outcome.code, outcome.out) == (2, "")
