"""`predict --segments` and its exports: regions on the command line, in files, of one recording and of many."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
import soundfile
from signals import RATE, silence, voice

from deepfake_audio.calibration import Calibration
from deepfake_audio.modelfile import read_model, write_model
from deepfake_audio.reports.regions import FORMATS

if TYPE_CHECKING:
    from pathlib import Path

    from commandline import Run


@pytest.fixture(scope="module")
def model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the model that the tests train with larger scores, as one has that learnt from more than sixty files."""
    path = tmp_path_factory.mktemp("sharp") / "sharp.onnx"
    metadata = read_model(tiny_model).metadata
    changed = dataclasses.replace(metadata, calibration=Calibration(10.0, -1.0), familiarity=0.0)
    write_model(path, onnx.load(tiny_model), changed)
    return path


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with a genuine recording, one that is synthetic from 5 to 8 s, and one without speech."""
    directory = tmp_path_factory.mktemp("recordings")
    genuine, robotic = voice(9.0, seed=3001), voice(3.0, seed=3004, robotic=True)
    soundfile.write(directory / "genuine.wav", genuine, RATE)
    spliced = np.concatenate([genuine[: 5 * RATE], robotic, voice(6.0, seed=3051)])
    soundfile.write(directory / "spliced.wav", spliced, RATE)
    soundfile.write(directory / "silent.wav", silence(2.0), RATE)
    return directory


def test_regions_of_a_genuine_recording_with_a_synthetic_part(run: Run, model: Path, recordings: Path) -> None:
    """The verdict stays, the region is in the record, and people are told in the table."""
    path = recordings / "spliced.wav"
    (plain,) = run("predict", "--model", model, path, "-f", "jsonl").records
    (full,) = run("predict", "--model", model, path, "-f", "jsonl", "--segments").records
    assert plain["regions"] is None
    (region,) = full["regions"]
    assert list(region) == ["start", "end", "p_deepfake"]
    assert abs(region["start"] - 5.0) <= 0.5
    assert abs(region["end"] - 8.0) <= 0.5
    assert region["p_deepfake"] > 0.95
    assert {**full, "regions": None, "segments": None} == plain
    assert plain["verdict"] == "genuine"
    assert len(full["segments"]) == math.ceil(full["speech_seconds"])
    table = run("predict", "--model", model, path, "--segments").out
    assert "but a part" in table
    assert f"{region['start']:7.2f} - {region['end']:7.2f} s" in table
    assert table.count("region ") == 1


@pytest.mark.parametrize("name", ["genuine.wav", "silent.wav"])
def test_no_regions(name: str, run: Run, model: Path, recordings: Path) -> None:
    """An empty list is there where they were looked for."""
    (found,) = run("predict", "--model", model, recordings / name, "-f", "jsonl", "--segments").records
    assert found["regions"] == []
    assert found["verdict"] == {"genuine.wav": "genuine", "silent.wav": "no_speech"}[name]


def test_jobs_do_not_decide(run: Run, model: Path, recordings: Path, tmp_path: Path) -> None:
    """Several processes give what one gives, in the same order; more files than these would not be divided."""
    for number in range(24):
        shutil.copy(recordings / ("spliced.wav" if number % 3 else "genuine.wav"), tmp_path / f"{number:02}.wav")
    one, two = (
        run("predict", "--model", model, tmp_path, "-f", "jsonl", "--segments", "--jobs", jobs, "-q") for jobs in (1, 2)
    )
    assert one == two
    assert [len(record["regions"]) for record in one.records] == [0, 1, 1] * 8


def test_standard_input(model: Path, recordings: Path) -> None:
    """What can be read only once gives both, verdict and regions."""
    command = [
        sys.executable,
        "-m",
        "deepfake_audio",
        "predict",
        "--model",
        str(model),
        "--segments",
        "-f",
        "jsonl",
        "-",
    ]
    with (recordings / "spliced.wav").open("rb") as stream:
        out = subprocess.run(command, stdin=stream, capture_output=True, check=True).stdout
    assert len(json.loads(out)["regions"]) == 1


# --- exports to standard output, or to a file ------------------------------------------------------------------


@pytest.mark.parametrize("name", FORMATS)
def test_one_recording(name: str, run: Run, model: Path, recordings: Path, tmp_path: Path) -> None:
    """One recording's regions are the result, on standard output or in the file of --output, and nothing else is."""
    args = ("predict", "--model", model, recordings / "spliced.wav", "--segments-format", name)
    shown = run(*args)
    assert (shown.code, shown.err) == (0, "")
    assert run(*args, "-o", tmp_path / "out").out == ""
    assert (tmp_path / "out").read_bytes() == shown.out.encode()
    assert "synthetic" in shown.out or name == "csv"
    times = [float(t.replace(",", ".")) for t in re.findall(r"(?<![\d:.])\d+\.\d+(?![\d.])", shown.out)]
    if name != "srt":
        assert any(abs(t - 5.0) <= 0.5 for t in times)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("recording", ["genuine.wav", "silent.wav"])
def test_one_recording_without_regions(name: str, recording: str, run: Run, model: Path, recordings: Path) -> None:
    """A recording without regions, or without speech, gives a valid file that names none."""
    shown = run("predict", "--model", model, recordings / recording, "--segments-format", name)
    assert (shown.code, shown.err) == (0, "")
    assert "synthetic" not in shown.out
    assert (shown.out == "") == (name in {"audacity", "rttm", "srt"})


@pytest.mark.parametrize("name", FORMATS)
def test_one_recording_that_cannot_be_scored(name: str, run: Run, model: Path, tmp_path: Path) -> None:
    """It is named on standard error, with exit code 3; nothing is written that would be mistaken for a result."""
    output = tmp_path / "out"
    shown = run("predict", "--model", model, tmp_path / "no.wav", "--segments-format", name, "-o", output)
    assert shown.code == 3
    assert "no such file" in shown.err
    assert output.exists() == FORMATS[name].holds_many
    assert not output.exists() or len(output.read_text().splitlines()) == (name == "csv")


def test_many_recordings_in_one_table(run: Run, model: Path, recordings: Path, tmp_path: Path) -> None:
    """CSV and RTTM tell recordings apart, and those that cannot be scored are left out."""
    broken = tmp_path / "broken.wav"
    broken.write_text("no audio")
    args = ("predict", "--model", model, recordings, broken, "-q")
    table = run(*args, "--segments-format", "csv")
    assert table.code == 3
    rows = list(csv.DictReader(io.StringIO(table.out)))
    assert [row["path"] for row in rows if row["kind"] == "region"] == [str(recordings / "spliced.wav")]
    assert {row["path"] for row in rows} == {str(recordings / f"{name}.wav") for name in ("genuine", "spliced")}
    lines = run(*args, "--segments-format", "rttm").out.splitlines()
    assert [line.split()[1].endswith("spliced") for line in lines] == [True]


def test_fail_on_is_about_verdicts(run: Run, model: Path, recordings: Path) -> None:
    """A region does not make a deepfake of a recording."""
    args = (
        "predict",
        "--model",
        model,
        recordings / "spliced.wav",
        "--segments-format",
        "rttm",
        "--fail-on",
        "deepfake",
    )
    assert run(*args).code == 0
    assert run(*args, "--threshold", "0.001").code == 1


# --- exports to a directory ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_for_each(name: str, run: Run, model: Path, recordings: Path, tmp_path: Path) -> None:
    """Each recording that can be scored has its file; results are written as usual."""
    out = tmp_path / "a" / "b"
    args = ("predict", "--model", model, recordings, tmp_path / "no.wav", "-f", "jsonl", "-q")
    shown = run(*args, "--segments-format", name, "--segments-output", out)
    assert shown.code == 3
    suffix = FORMATS[name].suffix
    stems = {path.name for path in out.iterdir()}
    assert len(stems) == 3
    assert all(stem.endswith((f"genuine{suffix}", f"spliced{suffix}", f"silent{suffix}")) for stem in stems)
    assert shown.records == run(*args, "--segments").records
    for path in out.iterdir():
        alone = run(
            "predict", "--model", model, recordings / f"{path.stem.split('_')[-1]}.wav", "--segments-format", name
        )
        assert name == "rttm" or path.read_text() == alone.out


def test_alike_and_odd_names(run: Run, model: Path, recordings: Path, tmp_path: Path) -> None:
    """Recordings of one name do not overwrite each other, and no name leads out of the directory."""
    data, out = tmp_path / "data", tmp_path / "out"
    for folder in ("s1", "s2"):
        (data / folder).mkdir(parents=True)
        shutil.copy(recordings / "genuine.wav", data / folder / "a.wav")
    shutil.copy(recordings / "genuine.wav", data / "s1" / "A.flac")
    shutil.copy(recordings / "genuine.wav", data / "<b> \n.wav")
    shutil.copy(recordings / "genuine.wav", data / os.fsdecode(b"\xff.wav"))
    shown = run("predict", "--model", model, data, "-q", "--segments-format", "srt", "--segments-output", out)
    assert shown.code == 0
    names = sorted(path.name for path in out.iterdir())
    assert names == sorted(["_.srt", "_b___.srt", "s1_A.srt", "s1_a-2.srt", "s2_a.srt"])


def test_nothing_is_overwritten(run: Run, model: Path, recordings: Path, tmp_path: Path) -> None:
    """A directory that holds anything is refused before any work, and so are other places that cannot be."""
    args = ("predict", "--model", model, recordings, "--segments-format", "textgrid", "--segments-output")
    (tmp_path / "note.txt").write_text("mine")
    refused = run(*args, tmp_path)
    assert (refused.code, refused.out) == (2, "")
    assert refused.err == f"deepfake-audio: {tmp_path}: is not empty; give another directory\n"
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]
    refused = run(*args, recordings)
    assert "is not empty" in refused.err
    refused = run(*args, tmp_path / "note.txt" / "x")
    assert refused.code == 2
    assert "cannot be made or read" in refused.err


@pytest.mark.parametrize(
    ("args", "message"),
    [
        pytest.param(["--segments-output", "DIR"], "--segments-output needs --segments-format", id="no format"),
        pytest.param(
            ["--segments-format", "csv", "-f", "json"], "both want the output; give --segments-output", id="two formats"
        ),
        pytest.param(
            ["--segments-format", "textgrid"], "textgrid holds one recording, there are 3; give", id="many in one"
        ),
        pytest.param(
            ["--segments-format", "csv", "--segments-output", "DIR", "-o", "DIR/a.csv"], "must not lie in", id="mixed"
        ),
        pytest.param(["--segments-format", "elan"], "'csv', 'textgrid', 'audacity', 'rttm', 'srt'", id="unknown"),
    ],
)
def test_what_does_not_go_together(
    args: list[str], message: str, run: Run, model: Path, recordings: Path, tmp_path: Path
) -> None:
    """What cannot be written as asked is refused before any work, with a word on what to do."""
    placed = [arg.replace("DIR", str(tmp_path / "out")) for arg in args]
    refused = run("predict", "--model", model, recordings, *placed)
    assert (refused.code, refused.out) == (2, "")
    assert message in " ".join(re.sub(r"[│╭╮╰╯─]", " ", refused.err).split())
    assert not (tmp_path / "out").exists()
