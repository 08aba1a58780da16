"""The command line: what goes to which stream, in which form, and with which exit code."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
import itertools
import json
import os
import re
import runpy
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
import soundfile
import typer
from commandline import Outcome, Run
from signals import RATE, noise, silence, voice

from deepfake_audio import __version__, streams, training
from deepfake_audio.calibration import OPERATING_POINTS
from deepfake_audio.cli import options as cli_options
from deepfake_audio.detector import Detector
from deepfake_audio.errors import ModelFileError
from deepfake_audio.modelfile import read_model, write_model

if TYPE_CHECKING:
    from collections.abc import Callable

COMMANDS = ("predict", "evaluate", "train", "runs", "synthesize", "inspect", "analyze")
FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")


def command_line(*args: object) -> list[str]:
    """Return what starts the command line in a process of its own."""
    return [sys.executable, "-m", "deepfake_audio", *map(str, args)]


def shell(*args: object, stdout: int | IO[Any] = subprocess.PIPE, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """Run the command line in a process of its own."""
    return subprocess.run(command_line(*args), check=False, stdout=stdout, stderr=subprocess.PIPE, **options)


@pytest.fixture(scope="module")
def genuine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a recording that `tiny_model` calls genuine."""
    path = tmp_path_factory.mktemp("genuine") / "genuine.wav"
    soundfile.write(path, voice(4.0, seed=6), RATE)
    return path


@pytest.fixture(scope="module")
def deepfake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a recording that `tiny_model` calls a deepfake."""
    path = tmp_path_factory.mktemp("deepfake") / "deepfake.wav"
    soundfile.write(path, voice(4.0, seed=1006, robotic=True), RATE)
    return path


def write_bad_files(directory: Path) -> dict[str, str]:
    """Write one file of each kind that cannot be scored; return their names with the reason of each."""
    speech = voice(4.0, seed=6)
    (directory / "empty.wav").touch()
    (directory / "text.wav").write_text("this is no audio\n" * 50)
    for name in ("cut.wav", "cut.flac", "cut.mp3"):
        soundfile.write(directory / name, speech, RATE)
        content = (directory / name).read_bytes()
        (directory / name).write_bytes(content[: len(content) // 2])
    soundfile.write(directory / "lie.wav", speech, RATE)
    content = (directory / "lie.wav").read_bytes()  # the length of the data chunk stands before the data
    (directory / "lie.wav").write_bytes(content[:40] + struct.pack("<I", 1_000_000) + content[44:])
    soundfile.write(directory / "zero.wav", np.zeros(0), RATE)
    for name, value in (("nan.wav", np.nan), ("infinite.wav", np.inf)):
        soundfile.write(directory / name, np.append(speech, value), RATE, subtype="FLOAT")
    return {
        "missing.wav": "missing",
        "empty.wav": "empty",
        "text.wav": "not_audio",
        "cut.wav": "truncated",
        "cut.flac": "truncated",
        "cut.mp3": "truncated",
        "lie.wav": "truncated",
        "zero.wav": "no_samples",
        "nan.wav": "not_finite",
        "infinite.wav": "not_finite",
    }


# --- help and usage --------------------------------------------------------------------------------------------


def test_version(run: Run) -> None:
    """The version is one line."""
    assert run("--version") == Outcome(0, f"deepfake-audio {__version__}\n", "")


@pytest.mark.parametrize("option", ["--help", "-h"])
@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)], ids=["all", *COMMANDS])
def test_help(command: tuple[str, ...], option: str, run: Run) -> None:
    """Help goes to standard output, fits 80 columns, and keeps examples and exit codes on lines of their own."""
    outcome = run(*command, option)
    assert (outcome.code, outcome.err) == (0, "")
    lines = [line.strip() for line in outcome.out.splitlines()]
    assert max(map(len, outcome.out.splitlines())) <= 80
    codes = lines[lines.index("Exit codes:") + 1 :]
    assert [line.split()[0] for line in codes if line] == ["0", "1", "2", "3", "130"]
    if command:
        examples = [line for line in lines if line.startswith(f"deepfake-audio {command[0]} ")]
        assert len(examples) >= 2
        assert all(line in outcome.out for line in examples)
    else:
        assert all(name in outcome.out for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_paragraphs_of_the_help_flow(command: str, run: Run) -> None:
    """No line of running text ends before the right margin but the last of its paragraph."""
    text = run(command, "--help").out.partition("Examples:")[0]
    paragraphs = re.split(r"\n\s*\n", text.strip())[1:]
    assert len(paragraphs) >= 2
    for paragraph in paragraphs:
        lines = [line.strip() for line in paragraph.splitlines()]
        for line, following in itertools.pairwise(lines):
            assert len(f" {line} {following.split()[0]}") > 79


def test_no_arguments(run: Run) -> None:
    """Without arguments there is help, and the exit code for wrong usage."""
    outcome = run()
    assert outcome.code == 2
    assert "Usage: deepfake-audio" in outcome.out + outcome.err


def test_as_a_module() -> None:
    """`python -m deepfake_audio` is the same program."""
    done = shell("--version")
    assert (done.returncode, done.stdout.decode().split()) == (0, ["deepfake-audio", __version__])


@pytest.mark.parametrize("name", ["__main__", "imported"])
def test_main_module(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The module runs the program as a program, and not in the worker processes that import it under another name."""
    monkeypatch.setattr(sys, "argv", ["deepfake-audio", "--version"])
    with pytest.raises(SystemExit) if name == "__main__" else contextlib.nullcontext():
        runpy.run_module("deepfake_audio.__main__", run_name=name)


@pytest.mark.parametrize(
    "args",
    [
        pytest.param(["detect"], id="no such command"),
        pytest.param(["predict"], id="no path"),
        pytest.param(["predict", "a.wav", "--loud"], id="no such option"),
        pytest.param(["predict", "a.wav", "--format", "xml"], id="no such format"),
        pytest.param(["predict", "a.wav", "--fail-on", "genuine"], id="fail on something else"),
        pytest.param(["predict", "a.wav", "--jobs", "0"], id="no processes"),
        pytest.param(["predict", "a.wav", "--backend", "knn"], id="no such backend"),
        pytest.param(["predict", "a.wav", "--backend", "svm", "--model", "m.onnx"], id="backend and model"),
        pytest.param(["predict", "a.wav", "--backend", "svm", "--model", ""], id="backend and empty model"),
        pytest.param(["evaluate", "data", "--backend", "svm", "--model", "m.onnx"], id="evaluate backend and model"),
        *(
            pytest.param(["predict", "a.wav", "--threshold", value], id=f"threshold {value}")
            for value in ("0", "1", "0.0005", "1.5", "-0.5", "nan", "inf", "half")
        ),
        pytest.param(["predict", "a.wav", "--operating-point", "worst"], id="no such operating point"),
        pytest.param(["predict", "a.wav", "--operating-point", "balanced", "--threshold", "0.5"], id="two thresholds"),
        pytest.param(["evaluate", "data", "--operating-point", "worst"], id="evaluate no such operating point"),
        pytest.param(["evaluate", "data", "--threshold", "0.5"], id="evaluate threshold"),
        pytest.param(["train", "data", "-o", "m.onnx"], id="train without backend and recipe"),
        pytest.param(["train", "data", "-o", "m", "--backend", "svm", "--recipe", "svm"], id="train with both"),
        pytest.param(["train", "data", "--backend", "svm"], id="train without output and parts"),
        pytest.param(["train", "data", "--backend", "svm", "--cross-validate", "1"], id="train in one part"),
        pytest.param(["train", "data", "-o", "m", "--backend", "svm", "--copies", "-1"], id="copies negative"),
        pytest.param(["train", "data", "--backend", "svm", "-o", "m", "--runs", "m"], id="runs in the model"),
        pytest.param(["runs"], id="runs without file"),
        pytest.param(["train", "data", "-o", "m", "--backend", "svm", "--window-seconds", "nan"], id="window nan"),
        pytest.param(["train", "data", "-o", "m", "--backend", "svm", "--window-seconds", "31"], id="window too long"),
        pytest.param(["train", "data", "-o", "m", "--backend", "svm", "--seed", "-1"], id="seed negative"),
    ],
)
def test_wrong_usage(args: list[str], run: Run) -> None:
    """Wrong usage ends with 2 and says so on standard error alone, without a traceback."""
    outcome = run(*args)
    assert (outcome.code, outcome.out) == (2, "")
    assert "Usage: " in outcome.err
    assert "Traceback" not in outcome.err


def test_nan_is_refused_everywhere() -> None:
    """Not every version of typer finds NaN outside of a range, so the options check for themselves."""
    with pytest.raises(typer.BadParameter, match="not a number"):
        cli_options.require_number(float("nan"))
    assert cli_options.require_number(None) is None
    assert cli_options.require_number(0.5) == 0.5


# --- results ---------------------------------------------------------------------------------------------------


def test_one_file(run: Run, tiny_model: Path, genuine: Path, deepfake: Path) -> None:
    """One file gives a table of one row, and nothing on standard error."""
    for path in (genuine, deepfake):
        outcome = run("predict", "--model", tiny_model, path)
        assert (outcome.code, outcome.err) == (0, "")
        assert "\x1b" not in outcome.out
        header, row = outcome.out.splitlines()
        assert header.split() == ["recording", "verdict", "P(deepfake)", "speech", "note"]
        assert row.split()[:2] == [str(path), path.stem]


def test_files_and_directories(run: Run, tiny_model: Path, genuine: Path, deepfake: Path, tmp_path: Path) -> None:
    """Several paths give one record each in their order, directories in theirs, and a summary on standard error."""
    for name in ("b.wav", "a/c.wav", "a/b.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(deepfake, tmp_path / name)
    (tmp_path / "a" / "notes.txt").touch()
    outcome = run("predict", "--model", tiny_model, "-f", "jsonl", genuine, tmp_path)
    assert outcome.code == 0
    expected = [genuine, *(tmp_path / name for name in ("b.wav", "a/b.wav", "a/c.wav"))]
    assert [record["path"] for record in outcome.records] == list(map(str, expected))
    assert [record["verdict"] for record in outcome.records] == ["genuine", *["deepfake"] * 3]
    assert outcome.err == "deepfake-audio: 4 recordings: 3 deepfake, 1 genuine\n"


def test_formats_agree(run: Run, tiny_model: Path, genuine: Path, deepfake: Path) -> None:
    """All formats for programs hold the same records."""

    def output(format_: str) -> str:
        outcome = run("predict", "--model", tiny_model, genuine, deepfake, "missing.wav", "-q", "--format", format_)
        assert outcome.code == 3
        return outcome.out

    lines = [json.loads(line) for line in output("jsonl").splitlines()]
    assert json.loads(output("json")) == lines
    rows = list(csv.DictReader(io.StringIO(output("csv"))))
    for key in ("path", "status", "verdict", "p_deepfake", "sha256", "reason"):
        assert [row[key] for row in rows] == [str(line.get(key, "")) for line in lines]
    assert lines[0]["schema"] == "deepfake-audio/1"


def format_of(text: str) -> str:
    """Return what format a text is in."""
    if text.startswith("["):
        return f"json of {len(json.loads(text))}"
    if text.startswith("{"):
        return f"jsonl of {len([json.loads(line) for line in text.splitlines()])}"
    if text.startswith("schema,"):
        return f"csv of {len(list(csv.DictReader(io.StringIO(text))))}"
    return f"table of {len(text.splitlines()) - 1}"


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        pytest.param("r.json", [], "json of 2", id="json"),
        pytest.param("r.JSON", [], "json of 2", id="upper case"),
        pytest.param("r.jsonl", [], "jsonl of 2", id="jsonl"),
        pytest.param("r.ndjson", [], "jsonl of 2", id="ndjson"),
        pytest.param("r.csv", [], "csv of 2", id="csv"),
        pytest.param("r.txt", [], "table of 2", id="another suffix"),
        pytest.param("results", [], "table of 2", id="no suffix"),
        pytest.param("r.json", ["--format", "csv"], "csv of 2", id="format wins over suffix"),
        pytest.param("r.json", ["-f", "table"], "table of 2", id="table wins over suffix"),
    ],
)
def test_output_file(
    name: str, options: list[str], expected: str, run: Run, tiny_model: Path, genuine: Path, tmp_path: Path
) -> None:
    """With --output the result goes there, in the format that the suffix says, and nothing to standard output."""
    outcome = run("predict", "--model", tiny_model, genuine, genuine, "-o", tmp_path / name, *options)
    assert (outcome.code, outcome.out) == (0, "")
    assert format_of((tmp_path / name).read_text()) == expected
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_output_where_it_cannot_be(
    run: Run, tiny_model: Path, genuine: Path, voices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An output that cannot be written is found out before anything is scored."""
    monkeypatch.setattr(Detector, "score", lambda *_: pytest.fail("work was done"))
    for args in (["predict", genuine], ["evaluate", voices, "-q"]):
        outcome = run(*args, "--model", tiny_model, "-o", tmp_path / "nowhere" / "r.json")
        assert (outcome.code, outcome.out) == (2, "")
        assert outcome.err.startswith(f"deepfake-audio: {tmp_path}/nowhere/r.json: cannot be written")
        assert outcome.err.count("\n") == 1


@pytest.mark.parametrize("before", [None, "old results"])
@pytest.mark.parametrize("suffix", ["json", "jsonl", "csv", "txt"])
def test_output_after_a_failure(
    before: str | None,
    suffix: str,
    run: Run,
    tiny_model: Path,
    genuine: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A run that fails on the way leaves no half of an output, and what stood there before."""
    output = tmp_path / f"results.{suffix}"
    if before:
        output.write_text(before)
    scores = Detector.score
    seen: list[str] = []

    def score(self: Detector, path: str) -> Any:
        seen.append(path)
        if len(seen) == 3:
            raise ModelFileError("m.onnx: cannot be run")
        return scores(self, path)

    monkeypatch.setattr(Detector, "score", score)
    outcome = run("predict", "--model", tiny_model, "-o", output, *[genuine] * 5)
    assert (outcome.code, outcome.out, outcome.err) == (2, "", "deepfake-audio: m.onnx: cannot be run\n")
    assert [path.read_text() for path in tmp_path.iterdir()] == ([before] if before else [])


def test_segments(run: Run, tiny_model: Path, genuine: Path) -> None:
    """Segments are there where they were asked for."""
    plain = run("predict", "--model", tiny_model, genuine, "-f", "jsonl").records[0]
    full = run("predict", "--model", tiny_model, genuine, "-f", "jsonl", "--segments").records[0]
    assert plain.pop("segments") is None
    segments = full.pop("segments")
    assert (plain.pop("regions"), full.pop("regions")) == (None, [])
    assert full == plain
    assert [set(segment) for segment in segments] == [{"start", "end", "p_deepfake"}] * 4
    table = run("predict", "--model", tiny_model, genuine, "--segments").out.splitlines()
    assert len(table) == 2 + len(segments)


@pytest.mark.parametrize(("threshold", "verdict"), [(0.001, "deepfake"), (None, "inconclusive"), (0.999, "genuine")])
def test_threshold(threshold: float | None, verdict: str, run: Run, tiny_model: Path, genuine: Path) -> None:
    """A recording is a deepfake above the threshold, genuine below, undecided at it; its score stays what it is."""
    args = ("predict", "--model", tiny_model, genuine, "-f", "jsonl")
    (plain,) = run(*args).records
    (changed,) = run(*args, "--threshold", threshold or plain["p_deepfake"]).records
    assert changed["verdict"] == verdict
    assert changed["p_deepfake"] == plain["p_deepfake"]


def with_points(tiny_model: Path, path: Path, **points: float) -> Path:
    """Write a model that stores these operating points."""
    metadata = read_model(tiny_model).metadata
    write_model(path, onnx.load(tiny_model), dataclasses.replace(metadata, operating_points=points))
    return path


def test_operating_point(run: Run, tiny_model: Path, genuine: Path, tmp_path: Path) -> None:
    """The threshold that the model stores under the name decides; the score stays what it is."""
    model = with_points(tiny_model, tmp_path / "m.onnx", **{"balanced": 0.0, "few-misses": 99.0})
    args = ("predict", "--model", model, genuine, "-f", "jsonl")
    (plain,) = run(*args).records
    (strict,) = run(*args, "--operating-point", "few-misses").records
    assert (plain["verdict"], strict["verdict"]) == ("genuine", "deepfake")
    assert strict["llr_genuine"] == plain["llr_genuine"]
    assert run(*args, "--operating-point", "balanced").records == [plain]


def test_operating_point_of_an_evaluation(run: Run, tiny_model: Path, voices: Path, tmp_path: Path) -> None:
    """Decisions are judged at the stored threshold, and the figures that need none stay."""
    model = with_points(tiny_model, tmp_path / "m.onnx", **{"few-misses": 99.0})
    args = ("evaluate", voices, "--model", model, "-f", "json", "-q")
    plain, strict = (json.loads(run(*args, *more).out) for more in ((), ("--operating-point", "few-misses")))
    assert (plain["at_threshold"]["threshold"], strict["at_threshold"]["threshold"]) == (0.0, 99.0)
    assert (strict["at_threshold"]["frr"], strict["at_threshold"]["far"]) == (1.0, 0.0)
    assert strict["figures"]["eer"] == plain["figures"]["eer"]
    assert strict["at_eer"] == plain["at_eer"]


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_operating_point_that_a_model_lacks(
    command: str, run: Run, tiny_model: Path, genuine: Path, voices: Path, tmp_path: Path
) -> None:
    """The message names what the model does store."""
    path = genuine if command == "predict" else voices
    for points, found in (({}, "none"), ({"balanced": 0.0, "own": 1.0}, "balanced, own")):
        model = with_points(tiny_model, tmp_path / "m.onnx", **points)
        outcome = run(command, path, "--model", model, "--operating-point", "few-misses")
        message = f"deepfake-audio: {model}: stores no operating point few-misses; it has {found}\n"
        assert outcome == Outcome(2, "", message)


def test_every_operating_point_can_be_asked_for(run: Run, tiny_model: Path, genuine: Path) -> None:
    """The names of the command line are those that training stores."""
    assert [point.value for point in cli_options.OperatingPoint] == list(OPERATING_POINTS)
    for point in OPERATING_POINTS:
        assert run("predict", genuine, "--model", tiny_model, "--operating-point", point).code == 0


@pytest.mark.parametrize(
    ("names", "options", "code"),
    [
        pytest.param(["genuine"], ["--fail-on", "deepfake"], 0, id="none found"),
        pytest.param(["deepfake"], [], 0, id="found but not asked for"),
        pytest.param(["deepfake"], ["--fail-on", "deepfake"], 1, id="found"),
        pytest.param(["genuine", "deepfake"], ["--fail-on", "deepfake"], 1, id="found among others"),
        pytest.param(["deepfake", "missing"], ["--fail-on", "deepfake"], 1, id="found wins over unreadable"),
        pytest.param(["genuine", "missing"], ["--fail-on", "deepfake"], 3, id="none found, one unreadable"),
        pytest.param(["missing"], [], 3, id="all unreadable"),
        pytest.param(["deepfake"], ["--fail-on", "deepfake", "-o", os.devnull], 1, id="with an output file"),
    ],
)
def test_exit_codes(
    names: list[str], options: list[str], code: int, run: Run, tiny_model: Path, request: pytest.FixtureRequest
) -> None:
    """The exit code says what was found, and what could not be scored."""
    paths = ["missing.wav" if name == "missing" else request.getfixturevalue(name) for name in names]
    assert run("predict", "--model", tiny_model, *paths, *options).code == code


def test_bad_files_do_not_stop_the_rest(run: Run, tiny_model: Path, genuine: Path, tmp_path: Path) -> None:
    """Among bad files of every kind the good ones are scored; each bad one is one line and one record."""
    reasons = write_bad_files(tmp_path)
    shutil.copy(genuine, tmp_path / "good.wav")
    soundfile.write(tmp_path / "silence.wav", np.zeros(2 * RATE), RATE)
    outcome = run(
        "predict", "--model", tiny_model, "-f", "jsonl", *(tmp_path / name for name in reasons), tmp_path, genuine
    )
    assert outcome.code == 3
    assert "Traceback" not in outcome.err
    records = outcome.records
    assert [Path(r["path"]).name for r in records[: len(reasons)]] == list(reasons)
    assert {Path(r["path"]).name: r["reason"] for r in records if r["status"] == "skipped"} == reasons
    scored = {Path(r["path"]).name: r["verdict"] for r in records if r["status"] == "scored"}
    assert scored == {"good.wav": "genuine", "silence.wav": "no_speech", "genuine.wav": "genuine"}
    *complaints, summary = outcome.err.splitlines()
    assert complaints == [f"deepfake-audio: {r['message']}" for r in records if r["status"] == "skipped"]
    assert summary == "deepfake-audio: 22 recordings: 2 genuine, 1 no speech, 19 not scored"


def test_silence_is_no_failure(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    """A recording without speech was looked at: no verdict, and exit code 0."""
    soundfile.write(tmp_path / "silence.wav", np.zeros(2 * RATE), RATE)
    outcome = run("predict", "--model", tiny_model, tmp_path / "silence.wav", "-f", "jsonl", "--fail-on", "deepfake")
    assert (outcome.code, outcome.err) == (0, "")
    assert (outcome.records[0]["verdict"], outcome.records[0]["p_deepfake"]) == ("no_speech", None)


def test_quiet(run: Run, tiny_model: Path, genuine: Path) -> None:
    """Quiet leaves out the summary, not the complaints."""
    outcome = run("predict", "--model", tiny_model, genuine, "missing.wav", "--quiet")
    assert outcome.err == "deepfake-audio: missing.wav: there is no such file\n"


def test_empty_directory(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    """Where there is nothing to score, that is wrong usage."""
    (tmp_path / "notes.txt").touch()
    outcome = run("predict", "--model", tiny_model, tmp_path)
    assert outcome == Outcome(2, "", f"deepfake-audio: no audio files below {tmp_path}\n")


@pytest.mark.parametrize("kind", ["wav", "flac", "mp3", "ogg"])
def test_standard_input(kind: str, tiny_model: Path, genuine: Path, tmp_path: Path) -> None:
    """A recording that is piped in scores like the file."""
    path = tmp_path / f"a.{kind}"
    soundfile.write(path, soundfile.read(genuine)[0], RATE)
    done = shell("predict", "--model", tiny_model, "-", path, "-f", "jsonl", "-q", input=path.read_bytes())
    assert (done.returncode, done.stderr) == (0, b"")
    piped, named = map(json.loads, done.stdout.splitlines())
    assert (piped.pop("path"), named.pop("path")) == ("<stdin>", str(path))
    assert piped == named


def test_standard_input_without_bytes(tiny_model: Path) -> None:
    """An empty pipe cannot be scored."""
    done = shell("predict", "--model", tiny_model, "-", stdin=subprocess.DEVNULL)
    assert done.returncode == 3
    assert done.stderr.decode() == "deepfake-audio: <stdin>: the file is empty (0 bytes)\n"


# --- errors ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["predict", "evaluate"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(None, "there is no such model file", id="missing"),
        pytest.param(b"", "is empty", id="empty"),
        pytest.param(b"\x80\x04K\x01.", "is a Python pickle", id="pickle"),
        pytest.param(b"text", "is not an ONNX model", id="text"),
    ],
)
def test_model_errors(
    content: bytes | None, message: str, command: str, run: Run, genuine: Path, voices: Path, tmp_path: Path
) -> None:
    """A model that cannot be used ends with 2 and one line; --verbose adds the traceback before it."""
    model = tmp_path / "m.onnx"
    if content is not None:
        model.write_bytes(content)
    args = (command, genuine if command == "predict" else voices, "--model", model)
    outcome = run(*args)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(f"deepfake-audio: {model}: {message}")
    assert outcome.err.count("\n") == 1
    verbose = run(*args, "--verbose")
    assert verbose.code == 2
    assert verbose.err.startswith("Traceback (most recent call last)")
    assert verbose.err.endswith(outcome.err)
    assert run(*args).err == outcome.err


def test_no_model_is_not_the_default(run: Run, genuine: Path) -> None:
    """An empty --model, as an unset variable of a script gives, is an error."""
    outcome = run("predict", genuine, "--model", "")
    assert outcome.code == 2
    assert "is a directory, not a model file" in outcome.err


def test_backend_names_a_shipped_model(run: Run, genuine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--backend asks for the shipped model of that name, without it the default is loaded."""
    asked: list[str] = []

    def load(name: str, **_: object) -> None:
        asked.append(str(name))
        raise ModelFileError("stop here")

    monkeypatch.setattr(Detector, "load", load)
    for options in ([], ["--backend", "svm"], ["--backend", "cnn"], ["--model", "svm"]):
        run("predict", genuine, *options)
    assert asked == ["default", "svm", "cnn", "svm"]


def test_messages_are_one_line(run: Run, genuine: Path) -> None:
    """A name with control characters neither breaks the line nor reaches the terminal as it is."""
    outcome = run("predict", genuine, "--model", "a\nb\x1b[2Jü.onnx")
    assert outcome.err.count("\n") == 1
    assert "a\\nb\\x1b[2Jü.onnx: there is no such model file" in outcome.err


def test_an_error_of_our_own(run: Run, tiny_model: Path, genuine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug shows its traceback, and does not end with the exit code that says that a deepfake was found."""

    def fail(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(Detector, "score", fail)
    outcome = run("predict", "--model", tiny_model, genuine, "--fail-on", "deepfake")
    assert outcome.code == 2
    assert "ZeroDivisionError: a bug" in outcome.err
    assert outcome.err.endswith("please report it with the lines above\n")


def test_interrupt(run: Run, tiny_model: Path, genuine: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Ctrl-C ends with 130, keeps finished records, and leaves no half of an output file."""
    scores = Detector.score
    seen: list[str] = []

    def score(self: Detector, path: str) -> Any:
        seen.append(path)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return scores(self, path)

    monkeypatch.setattr(Detector, "score", score)
    outcome = run("predict", "--model", tiny_model, *[genuine] * 5, "-f", "jsonl")
    assert (outcome.code, len(outcome.records)) == (130, 2)
    seen.clear()
    assert run("predict", "--model", tiny_model, *[genuine] * 5, "-o", tmp_path / "r.jsonl").code == 130
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("jobs", [1, 2])
def test_interrupt_of_a_batch(jobs: int, tiny_model: Path, genuine: Path) -> None:
    """Ctrl-C on a terminal reaches all processes: they end with 130 and without a traceback, finished lines stand."""
    with subprocess.Popen(
        command_line("predict", "--model", tiny_model, "-f", "jsonl", "--jobs", jobs, *[genuine] * 5000),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        os.killpg(process.pid, signal.SIGINT)
        rest, errors = process.communicate()
    assert process.returncode == 130
    assert errors == b""
    records = [json.loads(line) for line in (first + rest).splitlines()]
    assert 1 <= len(records) < 5000
    assert {record["verdict"] for record in records} == {"genuine"}


# --- streams ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format_", ["table", "json", "jsonl", "csv"])
def test_reader_that_has_gone(format_: str, tiny_model: Path, genuine: Path) -> None:
    """Where nobody reads standard output any more (`| head`), the program stops without a word."""
    reading, writing = os.pipe()
    os.close(reading)
    done = shell("predict", "--model", tiny_model, genuine, genuine, "-f", format_, stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (2, b"")


@pytest.mark.parametrize("full", [pytest.param(True, marks=needs_full), False])
def test_rest_of_a_lost_output(
    full: bool,  # noqa: FBT001 - a parameter of pytest
    run: Run,
    tiny_model: Path,
    genuine: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is still in the buffer of a standard output that failed does no more harm at the end."""
    reading, writing = os.pipe()
    os.close(reading)
    with FULL.open("w") if full else os.fdopen(writing, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert run("predict", "--model", tiny_model, genuine, "-f", "jsonl").code == 2


def test_first_line_only(tiny_model: Path, genuine: Path) -> None:
    """A reader that takes one record and goes gets that record whole."""
    command = command_line("predict", "--model", tiny_model, "-f", "jsonl", "--jobs", 1, *[genuine] * 5000)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["verdict"] == "genuine"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 2


@needs_full
@pytest.mark.parametrize("format_", ["table", "jsonl"])
def test_full_disk(format_: str, tiny_model: Path, genuine: Path) -> None:
    """A result that cannot be written is one line on standard error."""
    with FULL.open("wb") as full:
        done = shell("predict", "--model", tiny_model, genuine, "-f", format_, stdout=full)
    assert done.returncode == 2
    assert done.stderr == b"deepfake-audio: standard output cannot be written (No space left on device)\n"


def test_closed_standard_output(run: Run, tiny_model: Path, genuine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a standard output there must be an output file."""
    monkeypatch.setattr(sys, "stdout", None)
    outcome = run("predict", "--model", tiny_model, genuine)
    assert outcome == Outcome(2, "", "deepfake-audio: standard output is closed; give --output\n")


def on_terminal(*args: object, **variables: str) -> tuple[int, str]:
    """Run the command line with a terminal for all its streams; return its exit code and what the terminal got."""
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    env = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "FORCE_COLOR", "CI"}}
    env = {**env, "TERM": "xterm", "COLUMNS": "120", **variables}
    process = subprocess.Popen(command_line(*args), stdin=theirs, stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    got = b""
    with contextlib.suppress(OSError):  # Linux ends a terminal whose other side is closed with an error
        while chunk := os.read(ours, 1 << 16):
            got += chunk
    os.close(ours)
    return process.wait(), got.decode()


COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-7][;m]")


def test_terminal(tiny_model: Path, genuine: Path, deepfake: Path) -> None:
    """On a terminal verdicts are coloured and there is a progress bar; NO_COLOR takes the colours away."""
    args = ("predict", "--model", tiny_model, genuine, deepfake)
    code, plain = on_terminal(*args)
    assert code == 0
    assert COLOUR.search(plain)
    assert re.search(r"scoring.*2/2", plain)
    code, uncoloured = on_terminal(*args, NO_COLOR="1")
    assert code == 0
    assert not COLOUR.search(uncoloured)
    assert "deepfake" in uncoloured


def test_quiet_terminal(tiny_model: Path, genuine: Path) -> None:
    """Quiet shows no progress on a terminal either, and one file needs none."""
    for args in ((genuine,), (genuine, genuine, "--quiet")):
        code, got = on_terminal("predict", "--model", tiny_model, *args)
        assert code == 0
        assert "scoring" not in got


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        """Claim to be one."""
        return True


def test_stages_of_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each stage has a bar of its own, with its note."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "100")
    with streams.progress_bars(quiet=False) as stage:
        stage("reading", 1, 2)
        stage("reading", 2, 2, "1 unusable")
        stage("training", 5, 40)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue())
    assert re.search(r"reading.* 2/2 .*1 unusable", text)
    assert re.search(r"training.* 5/40 ", text)


@pytest.mark.parametrize("name", ["a\nb", "x" * 101], ids=["of two lines", "too long"])
def test_train_with_a_name_that_no_model_may_have(name: str, run: Run) -> None:
    """It is refused before the data are even looked at."""
    result = run("train", "nowhere", "-o", "m", "--backend", "svm", "--name", name)
    assert result.code == 2
    assert "the rule is that name has 1 to 100 printable characters" in result.err


ENCODINGS = {
    "C": {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    "C coerced": {"LC_ALL": "C"},
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
}


@pytest.mark.parametrize("format_", ["table", "json", "jsonl", "csv"])
@pytest.mark.parametrize("locale", ENCODINGS)
def test_names_in_any_bytes(locale: str, format_: str, tiny_model: Path, genuine: Path, tmp_path: Path) -> None:
    """Names in any bytes are scored under any locale; what programs read is UTF-8 and can be parsed."""
    for name in (b"caf\xe9\xff.wav", "é声😀.wav".encode(), b"line\nbreak.wav"):
        with contextlib.suppress(OSError):  # not every file system takes every name
            shutil.copy(genuine, tmp_path / os.fsdecode(name))
    n_files = len(list(tmp_path.iterdir()))
    done = shell(
        "predict", "--model", tiny_model, tmp_path, "missing-é.wav", "-f", format_, env=os.environ | ENCODINGS[locale]
    )
    assert done.returncode == 3
    assert b"Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].decode() == (
        f"deepfake-audio: {n_files + 1} recordings: {n_files} genuine, 1 not scored"
    )
    if format_ == "json":
        assert len(json.loads(done.stdout.decode("utf-8"))) == n_files + 1
    elif format_ == "jsonl":
        assert [json.loads(line)["path"][-4:] for line in done.stdout.decode("utf-8").splitlines()].count(".wav") == 4
    elif format_ == "csv":
        assert len(list(csv.DictReader(io.StringIO(done.stdout.decode("utf-8"))))) == n_files + 1
    else:
        assert done.stdout.count(b" genuine ") == n_files


# --- evaluate --------------------------------------------------------------------------------------------------


def test_evaluate_as_a_table(run: Run, tiny_model: Path, voices: Path) -> None:
    """The table names model and data, the figures, and the sources; what was read is said on standard error."""
    outcome = run("evaluate", voices, "--model", tiny_model)
    assert outcome.code == 0
    assert outcome.out.startswith(f"tiny on {voices}")
    for figure in ("equal error rate (EER)", "ROC AUC", "Cllr (bits)", "accuracy", "By source"):
        assert figure in outcome.out
    said, summary = outcome.err.splitlines()
    assert said == f"deepfake-audio: {voices} (folders): 30 genuine, 30 deepfake recordings"
    assert summary.startswith("deepfake-audio: 60 recordings: ")


def test_evaluate_as_json(run: Run, tiny_model: Path, voices: Path, tmp_path: Path) -> None:
    """The same evaluation as JSON, on standard output or by the suffix of a file; the model knows these voices."""
    outcome = run("evaluate", voices, "--model", tiny_model, "--format", "json", "--quiet")
    assert (outcome.code, outcome.err) == (0, "")
    result = json.loads(outcome.out)
    assert result["schema"] == "deepfake-audio-evaluation/2"
    assert (result["data"], result["layout"], result["partition"]) == (str(voices), "folders", [])
    assert result["model"]["name"] == "tiny"
    assert (result["n_bonafide"], result["n_spoof"], result["n_no_speech"]) == (30, 30, 0)
    assert result["figures"]["eer"]["value"] < 0.2
    assert result["figures"]["roc_auc"]["value"] > 0.9
    run("evaluate", voices, "--model", tiny_model, "-o", tmp_path / "r.json", "--quiet")
    assert json.loads((tmp_path / "r.json").read_text()) == result
    run("evaluate", voices, "--model", tiny_model, "-o", tmp_path / "r.txt", "--quiet")
    assert (tmp_path / "r.txt").read_text().startswith("tiny on ")


@pytest.fixture(scope="module")
def manifest(voices: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a manifest of the voices with headers of its own and two partitions, one with an unreadable file."""
    path = tmp_path_factory.mktemp("manifest") / "clips.csv"
    rows = [f"{file},{file.parts[-3]},{'dev' if number % 3 else 'eval'}\n" for number, file in enumerate(wavs(voices))]
    path.write_text("clip,is_fake,split\n" + "".join(rows) + "gone.wav,deepfake,eval\n")
    return path


def wavs(directory: Path) -> list[Path]:
    """Return the recordings below a directory."""
    return sorted(directory.rglob("*.wav"))


COLUMNS = ("--column", "path=clip", "--column", "label=is_fake")


@pytest.mark.parametrize(("partition", "n_files", "code"), [(None, 20, 3), ("test", 20, 3), ("development", 40, 0)])
def test_evaluate_a_partition(
    partition: str | None, n_files: int, code: int, run: Run, tiny_model: Path, manifest: Path
) -> None:
    """The part that was asked for is evaluated, else eval; unreadable files are counted and make the exit code 3."""
    options = ["--partition", partition] if partition else []
    outcome = run("evaluate", manifest, "--model", tiny_model, *COLUMNS, *options, "-f", "json")
    result = json.loads(outcome.out)
    assert (outcome.code, result["skipped"]["n"]) == (code, 1 if code else 0)
    assert result["n_bonafide"] + result["n_spoof"] == n_files
    assert result["partition"] == ["dev" if partition == "development" else "eval"]
    assert ("gone.wav: there is no such file" in outcome.err) == (code == 3)


def test_evaluate_names_the_partition(run: Run, tiny_model: Path, manifest: Path) -> None:
    """The title of the table says which part it is."""
    outcome = run("evaluate", manifest, "--model", tiny_model, *COLUMNS, "--partition", "dev")
    assert " ".join(outcome.out.split()).startswith(f"tiny on {manifest}, partition dev ")
    assert "(csv, partition dev): 20 genuine, 20 deepfake" in outcome.err


# --- train -----------------------------------------------------------------------------------------------------


@pytest.fixture
def train_in_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train without starting processes."""
    monkeypatch.setattr("deepfake_audio.parallel.usable_cores", lambda: 1)


@pytest.mark.usefixtures("train_in_one_process")
def test_train_evaluate_predict(run: Run, voices: Path, deepfake: Path, tmp_path: Path) -> None:
    """A model is trained, measured and used; a record lies beside it."""
    model = tmp_path / "mine.onnx"
    options = ["--backend", "svm", "--copies", "0", "--window-seconds", "1", "--name", "mine ü", "--seed", "5"]
    options += ["--set", "c=2", "--features", "mfcc,n_coefficients=30,statistics=mean+std"]
    trained = run("train", voices, "-o", model, *options)
    assert trained.code == 0
    assert re.search(r"on what was held out +12 recordings", trained.out)
    assert "mine.onnx (mine ü, SHA-256" in trained.out
    assert trained.err == f"deepfake-audio: {voices} (folders): 30 genuine, 30 deepfake recordings\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.json", "mine.onnx"]
    record = json.loads((tmp_path / "mine.json").read_text())
    recipe = record["metadata"]["recipe"]
    (member,) = recipe["members"]
    assert (recipe["seed"], recipe["window_seconds"], member["copies"]) == (5, 1.0, 0)
    assert (member["features"][0]["n_coefficients"], member["options"]["c"]) == (30, 2.0)
    measured = run("evaluate", voices, "--model", model, "-f", "json", "-q")
    assert (measured.code, json.loads(measured.out)["model"]["sha256"]) == (0, record["sha256"])
    (predicted,) = run("predict", deepfake, "--model", model, "-f", "jsonl").records
    assert predicted["model"] == {"name": "mine ü", "sha256": record["sha256"]}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(["--features", "chroma"], "kind must be one of mfcc, mel, lfcc, linear", id="kind"),
        pytest.param(["--features", ""], "kind must be one of", id="empty kind"),
        pytest.param(["--features", "mfcc,bands=3"], "features: unknown key 'bands'", id="key"),
        pytest.param(["--features", "mfcc,n_bands=many"], "n_bands='many' is not a int", id="value"),
        pytest.param(["--set", "trees=3"], "--set trees=3: unknown option 'trees'; options: c", id="option"),
        pytest.param(["--set", "c"], "--set c: '' is not a float", id="option without value"),
        pytest.param(["--set", "c=0"], "svm: c must be positive", id="value of an option"),
        pytest.param(["--copies", "101"], "copies must be 0 to 100", id="copies"),
        pytest.param(["--seed", str(2**32)], "seed is 0 to 4294967295", id="seed"),
        pytest.param(["--runs", "nowhere/runs.jsonl"], "there is no directory", id="runs"),
        pytest.param(["--column", "truth=label"], "unknown column 'truth'", id="column of ours"),
        pytest.param(["--column", "label=truth"], "has no column 'truth'", id="column of theirs"),
        pytest.param(["--column", "label"], "--column takes OURS=THEIRS, not 'label'", id="column alone"),
        pytest.param(["--layout", "zip"], "unknown layout 'zip'", id="layout"),
        pytest.param(["--partition", "moon"], "has no partition 'moon'; partitions: train", id="partition"),
    ],
)
def test_train_wrong_options(options: list[str], message: str, run: Run, tmp_path: Path) -> None:
    """What cannot be meant is refused with words that say what could be, and nothing is written."""
    (tmp_path / "m.csv").write_text("path,label,split\na.wav,real,train\nb.wav,fake,train\n")
    outcome = run("train", tmp_path / "m.csv", "--backend", "svm", "-o", tmp_path / "m.onnx", *options)
    assert (outcome.code, outcome.out) == (2, "")
    assert message in " ".join(outcome.err.replace("│", " ").split())
    assert [path.name for path in tmp_path.iterdir()] == ["m.csv"]


RECIPE = """
window_seconds = 1.0
members = [{ backend = "svm", features = [{ kind = "mfcc", statistics = ["mean", "std"] }], copies = 0 }]
"""


@pytest.mark.usefixtures("train_in_one_process")
def test_recipe_cross_validation_cache_and_runs(run: Run, voices: Path, tmp_path: Path) -> None:
    """Without an output the figures are printed; features are kept, runs are noted and shown as a table."""
    (tmp_path / "mine.toml").write_text(RECIPE)
    options = ["--recipe", tmp_path / "mine.toml", "--cross-validate", 3, "--quiet"]
    options += ["--cache", tmp_path / "cache", "--runs", tmp_path / "runs.jsonl"]
    for more in ((), ("--set", "c=7", "--name", "larger c")):
        trained = run("train", voices, *options, *more)
        assert (trained.code, trained.err) == (0, "")
        assert re.search(r"held out, part 3 +", trained.out)
        assert "SHA-256" not in trained.out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "mine.toml", "runs.jsonl"]
    assert len(list((tmp_path / "cache").iterdir())) == 1
    shown = run("runs", tmp_path / "runs.jsonl")
    assert (shown.code, shown.err) == (0, "")
    header, first, second, *rest = shown.out.splitlines()
    assert first.split()[:3] == ["1", "svm", "60"]
    assert second.split()[:4] == ["2", "larger", "c", "60"]
    assert header.split()[:3] == ["run", "name", "recordings"]
    assert rest[-1] == "2: members.0.options.c=7.0"


@pytest.fixture
def background(tmp_path: Path) -> Path:
    """Return a directory with two recordings of noise, one of them further down, and a room."""
    (tmp_path / "noises" / "more").mkdir(parents=True)
    (tmp_path / "rooms").mkdir()
    soundfile.write(tmp_path / "noises" / "a.wav", noise(1.0, seed=1), RATE)
    soundfile.write(tmp_path / "noises" / "more" / "b.flac", noise(0.5, 8_000, seed=2), 8_000)
    soundfile.write(tmp_path / "rooms" / "hall.wav", noise(0.1, seed=3), RATE)
    return tmp_path


@pytest.mark.usefixtures("train_in_one_process")
def test_train_with_recorded_noise_and_rooms(run: Run, voices: Path, background: Path, tmp_path: Path) -> None:
    """The model says how many there were, and the same directories give the same model."""
    (tmp_path / "mine.toml").write_text(RECIPE)
    options = ["--recipe", tmp_path / "mine.toml", "--copies", 1, "-q", "--runs", tmp_path / "runs.jsonl"]
    options += ["--noises", background / "noises", "--rooms"]
    for name in ("a", "b"):
        trained = run("train", voices, "-o", tmp_path / f"{name}.onnx", *options, background / "rooms")
        assert (trained.code, trained.err) == (0, "")
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
    recorded = json.loads((tmp_path / "a.json").read_text())["metadata"]["training"]["recorded"]
    assert {kind: facts["n"] for kind, facts in recorded.items()} == {"noises": 2, "rooms": 1}
    assert run("train", voices, "-o", tmp_path / "c.onnx", *options, background / "noises").code == 0
    assert "3: rooms.n=2, rooms.sha256=" in run("runs", tmp_path / "runs.jsonl").out.replace("\n", " ")


@pytest.mark.usefixtures("train_in_one_process")
@pytest.mark.parametrize("option", ["--noises", "--rooms"])
@pytest.mark.parametrize(
    ("name", "copies", "message"),
    [
        pytest.param("nowhere", 1, "{}: the directory cannot be listed (No such file or directory)", id="missing"),
        pytest.param("noises/a.wav", 1, "{}: the directory cannot be listed (Not a directory)", id="a file"),
        pytest.param("empty", 1, "{}: there are no audio files in it", id="empty"),
        pytest.param("bad", 1, "{}/bad.wav: ", id="not audio"),
        pytest.param("silent", 1, "{}/silent.wav: is silent, so it is neither noise nor a room", id="silent"),
        pytest.param("noises", 0, "the recipe 'svm' makes no copies with the change ", id="no copies"),
    ],
)
def test_recorded_noise_and_rooms_that_cannot_be_used(
    option: str, name: str, copies: int, message: str, run: Run, voices: Path, background: Path
) -> None:
    """A directory without usable recordings, and one that nothing would be done with, is one line."""
    for directory in ("empty", "bad", "silent"):
        (background / directory).mkdir()
    (background / "bad" / "bad.wav").write_text("no audio")
    soundfile.write(background / "silent" / "silent.wav", silence(0.1), RATE)
    (background / "mine.toml").write_text(RECIPE)
    options = ("--recipe", background / "mine.toml", "--copies", copies, "-o", background / "m.onnx", "-q")
    outcome = run("train", voices, *options, option, background / name)
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert message.format(background / name) in outcome.err
    assert not (background / "m.onnx").exists()


@pytest.mark.parametrize("option", [("--features", "mfcc"), ("--set", "c=2"), ("--copies", "0")], ids=lambda o: o[0])
def test_options_of_a_recipe_with_several_members(option: tuple[str, str], run: Run, tmp_path: Path) -> None:
    """Which member would be meant is not clear, so the file has to say it."""
    (tmp_path / "two.toml").write_text('name = "two"\nmembers = [{ backend = "svm" }, { backend = "cnn" }]')
    outcome = run("train", tmp_path, "--recipe", tmp_path / "two.toml", "-o", tmp_path / "m.onnx", *option)
    message = "the recipe 'two' has 2 members; change features, options and copies in its file"
    assert outcome == Outcome(2, "", f"deepfake-audio: {message}\n")


def test_a_recipe_that_is_none(run: Run, tmp_path: Path) -> None:
    """The line names the file and what is wrong in it."""
    (tmp_path / "bad.toml").write_text("members = 3")
    outcome = run("train", tmp_path, "--recipe", tmp_path / "bad.toml", "-o", tmp_path / "m.onnx")
    assert outcome == Outcome(2, "", f"deepfake-audio: {tmp_path}/bad.toml: recipe: members must be an array, got 3\n")


@pytest.mark.parametrize("victim", ["data", "recipe", "output"])
def test_runs_are_not_noted_in_another_file(
    victim: str, run: Run, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table of runs that is the manifest, the recipe or the model itself is refused before any work."""
    monkeypatch.setattr(training, "read_speech", lambda *_: pytest.fail("work was done"))
    paths = {"data": tmp_path / "m.csv", "recipe": tmp_path / "mine.toml", "output": tmp_path / "m.onnx"}
    shutil.copy(manifest, paths["data"])
    paths["recipe"].write_text(RECIPE)
    paths["output"].write_text("an older model")
    before = paths[victim].read_bytes()
    (tmp_path / "link").symlink_to(paths[victim])
    options = ("--recipe", paths["recipe"], "-o", paths["output"], "--runs", tmp_path / "link")
    outcome = run("train", paths["data"], *COLUMNS, *options)
    assert outcome == Outcome(2, "", f"deepfake-audio: {tmp_path}/link: is an input; give the result another name\n")
    assert paths[victim].read_bytes() == before


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot be read (No such file or directory)"), ("path,label\n", "is no run"), ("", "holds no runs")],
    ids=["missing", "another file", "empty"],
)
def test_runs_that_are_none(content: str | None, message: str, run: Run, tmp_path: Path) -> None:
    """What is no table of runs is one line."""
    path = tmp_path / "runs.jsonl"
    if content is not None:
        path.write_text(content)
    outcome = run("runs", path)
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert outcome.err.startswith(f"deepfake-audio: {path}")
    assert message in outcome.err


def empty(root: Path, _voices: Path) -> None:
    """Make a directory without a recording."""
    root.mkdir()


def one_class(root: Path, voices: Path) -> None:
    """Make a data set of genuine recordings."""
    shutil.copytree(voices / "genuine", root / "genuine")


def damaged(n_bad: int) -> Callable[[Path, Path], None]:
    """Return what makes a data set of which some files cannot be read."""

    def make(root: Path, voices: Path) -> None:
        shutil.copytree(voices, root)
        for number in range(n_bad):
            (root / "deepfake" / "source1" / f"bad{number}.wav").write_text("no audio")

    return make


@pytest.mark.usefixtures("train_in_one_process")
@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(lambda *_: None, "there is no such directory or manifest", id="missing"),
        pytest.param(empty, "the layout was not recognised", id="no files"),
        pytest.param(one_class, "all 30 recordings are bona fide; training needs both classes", id="one class"),
        # 4 of 64 are 6.25 %.
        pytest.param(damaged(4), "4 of 64 files cannot be used, more than 5%; the first: ", id="unreadable"),
    ],
)
def test_train_on_what_cannot_be_learnt_from(
    make: Callable[[Path, Path], None], message: str, run: Run, voices: Path, tmp_path: Path
) -> None:
    """Data without both classes, or with too many unusable files, end with 2 and one line that says so."""
    root = tmp_path / "data"
    make(root, voices)
    outcome = run("train", root, "--backend", "svm", "-o", tmp_path / "m.onnx", "--quiet")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(f"deepfake-audio: {root}: ")
    assert message in outcome.err
    assert outcome.err.count("\n") == 1
    assert list(tmp_path.glob("m.*")) == []


@pytest.mark.usefixtures("train_in_one_process")
def test_train_in_spite_of_a_few_bad_files(run: Run, voices: Path, tmp_path: Path) -> None:
    """Up to 5 % of unusable files (here 3 of 63) are left out and named."""
    damaged(3)(tmp_path / "data", voices)
    (tmp_path / "mine.toml").write_text(RECIPE)
    outcome = run("train", tmp_path / "data", "--recipe", tmp_path / "mine.toml", "-o", tmp_path / "m.onnx", "-q")
    assert outcome.code == 0
    bad = [f"deepfake-audio: left out: {tmp_path}/data/deepfake/source1/bad{number}.wav" for number in range(3)]
    assert [": ".join(line.split(": ")[:3]) for line in outcome.err.splitlines()] == bad
    assert re.search(r"left out as unusable +3\b", outcome.out)


def test_train_where_nothing_can_be_written(
    run: Run, voices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing directory is found out before a single recording is read."""
    monkeypatch.setattr(training, "read_speech", lambda *_: pytest.fail("work was done"))
    outcome = run("train", voices, "--backend", "svm", "-o", tmp_path / "nowhere" / "m.onnx", "--quiet")
    assert outcome.code == 2
    assert "there is no directory" in outcome.err


# --- what a command imports ------------------------------------------------------------------------------------

_IMPORTS = """
import sys
from deepfake_audio.cli import main

try:
    main()
finally:
    print(*(name for name in sys.modules if "." not in name), file=sys.stderr)
"""
HEAVY = {"librosa", "sklearn", "scipy", "tensorflow", "keras", "matplotlib", "streamlit", "skl2onnx", "av", "pandas"}


def imported(*args: object) -> set[str]:
    """Return what a fresh process has imported once it has run a command."""
    done = subprocess.run([sys.executable, "-c", _IMPORTS, *map(str, args)], capture_output=True, check=True)
    return set(done.stderr.decode().split())


def test_predict_imports_nothing_heavy(tiny_model: Path, genuine: Path) -> None:
    """Predicting needs none of the libraries that training needs."""
    modules = imported("predict", "--model", tiny_model, genuine)
    assert {"numpy", "soundfile", "onnxruntime"} <= modules
    assert modules & HEAVY == set()


@pytest.mark.parametrize("args", [("--help",), ("--version",), *((name, "--help") for name in COMMANDS)], ids=" ".join)
def test_help_imports_next_to_nothing(args: tuple[str, ...]) -> None:
    """Help is there at once: not even numpy is imported for it."""
    modules = imported(*args)
    assert "typer" in modules
    assert modules & (HEAVY | {"numpy", "onnx", "onnxruntime", "soundfile", "soxr"}) == set()


def test_evaluate_does_not_name_thousands_of_missing_files(tiny_model: Path, tmp_path: Path, run: Run) -> None:
    """A protocol whose audio is elsewhere is one line before any work: how many, which is the first, what to do."""
    manifest = tmp_path / "m.csv"
    rows = [f"{i}.wav,{'real' if i % 2 else 'fake'}" for i in range(50)]
    manifest.write_text("path,label\n" + "\n".join(rows) + "\n")
    result = run("evaluate", manifest, "--model", tiny_model)
    assert (result.code, result.out) == (2, "")
    (line,) = (line for line in result.err.splitlines() if "are not there" in line)
    assert "50" in line
    assert str(tmp_path / "0.wav") in line


def in_a_terminal(command: str, directory: Path) -> str:
    """Run a shell command with a terminal as its standard error and output, and return what the terminal shows."""
    done = subprocess.run(
        ["script", "-qec", command, "/dev/null"],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.stdout


@pytest.mark.skipif(shutil.which("script") is None, reason="needs script(1) for a terminal")
@pytest.mark.parametrize("format_", ["json", "jsonl", "csv", "table"])
def test_results_reach_their_file_while_a_terminal_shows_progress(
    tiny_model: Path, tmp_path: Path, deepfake: Path, format_: str
) -> None:
    """The bar on standard error takes nothing of what is redirected from standard output."""
    for name in ("a.wav", "b.wav"):
        shutil.copy(deepfake, tmp_path / name)
    command = f"{shlex.quote(sys.executable)} -m deepfake_audio predict a.wav b.wav -f {format_} --model {tiny_model}"
    shown = in_a_terminal(f"{command} > out", tmp_path)
    out = (tmp_path / "out").read_text()
    assert "a.wav" in out
    assert "b.wav" in out
    assert "a.wav" not in shown
    shown = in_a_terminal(command, tmp_path)
    assert "a.wav" in shown
    assert "2 recordings: 2 " in shown


@pytest.mark.parametrize("command", ["predict", "evaluate", "train"])
def test_the_output_never_replaces_an_input(
    run: Run, tiny_model: Path, manifest: Path, deepfake: Path, command: str
) -> None:
    """A result that would be written over a recording or a manifest is refused, and the input stays as it is."""
    victim = deepfake if command == "predict" else manifest
    before = victim.read_bytes()
    options = ["--backend", "svm"] if command == "train" else ["--model", tiny_model]
    outcome = run(command, victim, "-o", victim, *options)
    assert outcome.code == 2
    assert "is an input; give the result another name" in outcome.err
    assert victim.read_bytes() == before


def test_sigterm_leaves_nothing_behind(tiny_model: Path, deepfake: Path, tmp_path: Path) -> None:
    """A batch that is told to end removes its unfinished output and ends with 143."""
    clips = tmp_path / "clips"
    clips.mkdir()
    for number in range(600):
        shutil.copy(deepfake, clips / f"{number}.wav")
    output = tmp_path / "out.jsonl"
    options = ["--model", str(tiny_model), "--jobs", "1", "-o", str(output)]
    process = subprocess.Popen(
        [sys.executable, "-m", "deepfake_audio", "predict", str(clips), *options], stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".out.jsonl.*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.terminate()
    assert process.wait(timeout=60) == 143
    assert [path.name for path in tmp_path.iterdir()] == ["clips"]


def test_closed_standard_error_is_no_error(tiny_model: Path, deepfake: Path) -> None:
    """With `2>&-` the result is still written, and nothing else is."""
    tool = f"{shlex.quote(sys.executable)} -m deepfake_audio"
    command = f"{tool} predict {deepfake} {deepfake} -f jsonl --model {tiny_model} 2>&-"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert [json.loads(line)["status"] for line in done.stdout.splitlines()] == ["scored", "scored"]
