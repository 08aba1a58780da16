"""The command `synthesize`, and the data set that it makes."""

from __future__ import annotations

import csv
import importlib.util
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pytest
import soundfile
from signals import RATE, silence, voice

from deepfake_audio import cli, synthesis
from deepfake_audio.cli.synthesize import Vocoder
from deepfake_audio.datasets import read_dataset
from deepfake_audio.resynthesis import METHODS

if TYPE_CHECKING:
    from deepfake_audio.synthesis import Plan


@dataclass(frozen=True)
class Outcome:
    """What a run of the command line gave."""

    code: int
    out: str
    err: str


class Run(Protocol):
    """Runs the command."""

    def __call__(self, *args: object) -> Outcome:
        """Run it with these arguments, in one process."""


@pytest.fixture
def synthesize(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return the command, run in this process."""

    def call(*args: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["deepfake-audio", "synthesize", "--jobs", "1", *map(str, args)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        captured = capsys.readouterr()
        assert isinstance(end.value.code, int)
        return Outcome(end.value.code, captured.out, captured.err)

    return call


@pytest.fixture
def genuine(tmp_path: Path) -> Path:
    """Return a directory of twelve recordings in three folders, at three rates and in three formats."""
    directory = tmp_path / "recordings"
    for number in range(12):
        folder = directory / f"speaker{number % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        rate = (8_000, 16_000, 44_100)[number % 3]
        suffix = ("wav", "flac", "ogg")[number % 3]
        soundfile.write(folder / f"{number:02}.{suffix}", voice(1.0, rate, seed=number), rate)
    return directory


def manifest(out: Path) -> list[dict[str, str]]:
    """Return the rows of a manifest."""
    with (out / "manifest.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def audio(directory: Path) -> dict[str, bytes]:
    """Return the content of every file below a directory."""
    return {str(p.relative_to(directory)): p.read_bytes() for p in sorted(directory.rglob("*.flac"))}


# --- what it makes ---------------------------------------------------------------------------------------------


def test_makes_a_deepfake_of_each_recording(synthesize: Run, genuine: Path, tmp_path: Path) -> None:
    """Each recording gets a FLAC of 16 bits at its own rate, length and level, and originals stay as they are."""
    before = {path: path.read_bytes() for path in genuine.rglob("*.*")}
    out = tmp_path / "made"
    result = synthesize(genuine, "-o", out)
    assert (result.code, result.out) == (0, f"{out / 'manifest.csv'}\n")
    assert result.err == "deepfake-audio: 12 deepfakes made, 0 recordings left out\n"
    assert {path: path.read_bytes() for path in genuine.rglob("*.*")} == before
    rows = manifest(out)
    assert [row["label"] for row in rows] == ["bonafide", "spoof"] * 12
    for original, made in zip(rows[::2], rows[1::2], strict=True):
        assert made["path"] == f"spoof/{made['system']}/{original['group']}-1.flac"
        facts, source = soundfile.info(out / made["path"]), soundfile.info(original["path"])
        assert (facts.format, facts.subtype, facts.channels) == ("FLAC", "PCM_16", 1)
        assert (facts.samplerate, facts.frames) == (source.samplerate, source.frames)
        levels = [np.std(soundfile.read(path)[0]) for path in (out / made["path"], original["path"])]
        assert levels[0] == pytest.approx(levels[1], rel=0.25)
    assert len({row["system"] for row in rows}) > 3


def test_manifest_is_a_data_set(synthesize: Run, genuine: Path, tmp_path: Path) -> None:
    """`train` reads the manifest, and a copy is in the group of its original, alone with it."""
    out = tmp_path / "made"
    synthesize(genuine, "-o", out, "--copies", "2")
    dataset = read_dataset(out / "manifest.csv")
    assert (dataset.n_bonafide, dataset.n_spoof) == (12, 24)
    assert all(u.path.is_file() for u in dataset.utterances)
    for at in range(0, 36, 3):
        original, *copies = dataset.utterances[at : at + 3]
        assert (original.is_bonafide, original.system) == (True, "")
        assert {c.group for c in copies} == {original.group}
        assert {c.source for c in copies} == {original.source} == {original.path.parent.name}
        assert len({c.system for c in copies}) == 2
    assert len({u.group for u in dataset.utterances}) == 12


def test_ten_folders_are_groups(synthesize: Run, tmp_path: Path) -> None:
    """Where there are ten folders or more, each is a group: a folder is often a speaker."""
    for number in range(20):
        folder = tmp_path / "in" / f"speaker{number % 10}"
        folder.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / f"{number}.wav", voice(0.3, seed=number), RATE)
    synthesize(tmp_path / "in", "-o", tmp_path / "out", "--method", "phase")
    groups = {row["group"] for row in manifest(tmp_path / "out")}
    assert groups == {f"speaker{number}" for number in range(10)}


def test_files_of_no_folder_have_the_directory_as_source(synthesize: Run, tmp_path: Path) -> None:
    """Recordings that lie in the directory itself get its name."""
    (tmp_path / "in").mkdir()
    soundfile.write(tmp_path / "in" / "a.wav", voice(0.3), RATE)
    synthesize(tmp_path / "in", "-o", tmp_path / "out", "--method", "phase")
    assert [(r["source"], r["group"]) for r in manifest(tmp_path / "out")] == [("in", "a.wav")] * 2


def test_splices_say_which_stretch_is_synthetic(synthesize: Run, genuine: Path, tmp_path: Path) -> None:
    """With --splice, a file is its original outside of the stretch that the manifest names, and differs within."""
    out = tmp_path / "made"
    assert synthesize(genuine, "-o", out, "--splice", "--method", "lpc").code == 0
    rows = manifest(out)
    for original, made in zip(rows[::2], rows[1::2], strict=True):
        assert made["system"] == "lpc-splice"
        (x, rate), (y, _) = soundfile.read(original["path"]), soundfile.read(out / made["path"])
        first, last = (round(float(made[name]) * rate) for name in ("start_seconds", "end_seconds"))
        outside = np.r_[0 : first - rate // 500, last + rate // 500 : len(x)]
        np.testing.assert_allclose(y[outside], x[outside], atol=1e-4)
        assert np.std(y[first:last] - x[first:last]) > 0.1 * np.std(x)


def test_chosen_methods_only(synthesize: Run, genuine: Path, tmp_path: Path) -> None:
    """With two methods and three copies, each recording gets both, one of them twice, and no two are equal."""
    out = tmp_path / "made"
    synthesize(genuine, "-o", out, "--method", "lpc", "--method", "phase", "--copies", "3")
    assert {row["system"] for row in manifest(out)} == {"", "lpc", "phase"}
    made = audio(out)
    assert len(made) == len(set(made.values())) == 36


def test_seed_decides(synthesize: Run, genuine: Path, tmp_path: Path) -> None:
    """The same seed makes the same files, by any number of processes; another seed makes others."""
    for name, options in {"a": [], "b": ["--jobs", "2"], "c": ["--seed", "1"]}.items():
        assert synthesize(genuine, "-o", tmp_path / name, *options).code == 0
    assert audio(tmp_path / "a") == audio(tmp_path / "b")
    assert not set(audio(tmp_path / "a").values()) & set(audio(tmp_path / "c").values())


def test_long_recordings_are_cut(
    synthesize: Run, genuine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of each recording only the first MAX_SECONDS are used."""
    monkeypatch.setattr(synthesis, "MAX_SECONDS", 0.4)
    synthesize(genuine, "-o", tmp_path / "made", "--method", "phase")
    assert {row["end_seconds"] for row in manifest(tmp_path / "made")} == {"", "0.400"}


def test_what_would_clip_is_turned_down(synthesize: Run, tmp_path: Path) -> None:
    """A loud recording gives a copy whose peaks are whole: no run of samples at full scale."""
    (tmp_path / "in").mkdir()
    signal = voice(2.0)
    soundfile.write(tmp_path / "in" / "loud.wav", 8 * signal / np.abs(signal).max(), RATE, subtype="FLOAT")
    synthesize(tmp_path / "in", "-o", tmp_path / "out", "--copies", "6")
    for path in (tmp_path / "out").rglob("*.flac"):
        samples = np.abs(soundfile.read(path)[0])
        assert 0.9 < samples.max() <= 1.0
        assert (samples > 0.999).sum() < 5


def test_rates_that_flac_cannot_hold_become_48_khz(synthesize: Run, tmp_path: Path) -> None:
    """Above 65,535 Hz FLAC stores multiples of 10 only: 96,000 Hz stays, 96,001 Hz does not."""
    (tmp_path / "in").mkdir()
    for rate in (96_000, 96_001):
        soundfile.write(tmp_path / "in" / f"{rate}.wav", voice(0.3, rate), rate)
    assert synthesize(tmp_path / "in", "-o", tmp_path / "out", "--method", "phase").code == 0
    rates = {p.name[:5]: soundfile.info(p).samplerate for p in (tmp_path / "out").rglob("*.flac")}
    assert rates == {"96000": 96_000, "96001": 48_000}


# --- what it refuses -------------------------------------------------------------------------------------------


def test_what_cannot_be_used_is_named(synthesize: Run, genuine: Path, tmp_path: Path) -> None:
    """Unusable files get a line each and exit code 3, all others are made, and the manifest leaves the bad ones out."""
    (genuine / "empty.wav").touch()
    (genuine / "text.wav").write_text("this is no audio\n" * 50)
    soundfile.write(genuine / "silent.wav", silence(), RATE)
    result = synthesize(genuine, "-o", tmp_path / "made")
    assert result.code == 3
    empty, silent, text, summary = result.err.splitlines()
    assert empty == f"deepfake-audio: {genuine / 'empty.wav'}: the file is empty (0 bytes)"
    assert silent == f"deepfake-audio: {genuine / 'silent.wav'}: there is no sound in it"
    assert text.startswith(f"deepfake-audio: {genuine / 'text.wav'}: is not audio that can be read")
    assert summary == "deepfake-audio: 12 deepfakes made, 3 recordings left out"
    assert len(read_dataset(tmp_path / "made" / "manifest.csv").utterances) == 24


@pytest.mark.skipif(sys.platform != "linux", reason="needs names of any bytes")
def test_name_that_is_not_utf8_is_left_out(synthesize: Run, genuine: Path, tmp_path: Path) -> None:
    """A manifest is UTF-8 and cannot name such a file."""
    source = next(genuine.rglob("*.wav"))
    Path(os.fsdecode(os.fsencode(genuine) + b"/\xff.wav")).write_bytes(source.read_bytes())
    result = synthesize(genuine, "-o", tmp_path / "made", "--quiet")
    assert result.code == 3
    assert "its name is not UTF-8" in result.err
    assert result.err.count("\n") == 1


def test_nothing_usable_is_an_error(synthesize: Run, tmp_path: Path) -> None:
    """Where no recording can be used there is no manifest, and the exit code is 2."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "empty.wav").touch()
    result = synthesize(tmp_path / "in", "-o", tmp_path / "out")
    assert (result.code, result.out) == (2, "")
    assert "none of 1 recordings can be used; the first: " in result.err
    assert not (tmp_path / "out" / "manifest.csv").exists()


def test_output_that_holds_something_stays(synthesize: Run, genuine: Path, tmp_path: Path) -> None:
    """Nothing is written into a directory that is not empty; an empty one is taken."""
    (tmp_path / "made").mkdir()
    assert synthesize(genuine, "-o", tmp_path / "made", "--method", "phase").code == 0
    before = audio(tmp_path)
    result = synthesize(genuine, "-o", tmp_path / "made")
    assert (result.code, result.err) == (
        2,
        f"deepfake-audio: {tmp_path / 'made'}: is not empty; give another directory\n",
    )
    assert audio(tmp_path) == before


@pytest.mark.parametrize("where", [".", "new", "speaker0/new"])
def test_output_among_the_recordings_is_refused(synthesize: Run, genuine: Path, where: str) -> None:
    """The next run would take what this one made for genuine."""
    result = synthesize(genuine, "-o", genuine / where)
    assert result.code == 2
    assert "lies inside" in result.err


def test_output_that_cannot_be_made(synthesize: Run, genuine: Path, tmp_path: Path) -> None:
    """A file in the way is named."""
    (tmp_path / "file").touch()
    result = synthesize(genuine, "-o", tmp_path / "file" / "made")
    assert result.code == 2
    assert f"{tmp_path / 'file' / 'made'}: cannot be made or read (Not a directory)" in result.err


def test_folder_that_cannot_be_made(
    synthesize: Run, genuine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a file takes the place of a folder while recordings are being read, that is one line."""
    read = synthesis._read

    def read_and_block(path: str) -> object:
        (tmp_path / "made" / "spoof").touch()
        return read(path)

    monkeypatch.setattr(synthesis, "_read", read_and_block)
    result = synthesize(genuine, "-o", tmp_path / "made", "--method", "lpc")
    assert result.code == 2
    assert result.err.endswith("speaker0: cannot be made (Not a directory)\n")


def test_directory_with_deepfakes_is_refused(synthesize: Run, voices: Path, tmp_path: Path) -> None:
    """Whoever gives a whole data set would otherwise train on deepfakes as genuine; its genuine part alone is fine."""
    result = synthesize(voices, "-o", tmp_path / "made")
    assert result.code == 2
    assert f"{voices}: holds deepfakes, such as {voices / 'deepfake'}" in result.err
    (tmp_path / "few" / "genuine").mkdir(parents=True)
    soundfile.write(tmp_path / "few" / "genuine" / "a.wav", voice(0.3), RATE)
    assert synthesize(tmp_path / "few", "-o", tmp_path / "made", "--method", "phase").code == 0


@pytest.mark.parametrize(
    ("name", "message"),
    [("missing", "there is no such directory"), ("file.wav", "there is no such directory"), ("bare", "no audio files")],
)
def test_directory_without_recordings(synthesize: Run, tmp_path: Path, name: str, message: str) -> None:
    """A path that is no directory, or one without recordings, is one line, and nothing is made."""
    (tmp_path / "bare").mkdir()
    soundfile.write(tmp_path / "file.wav", voice(0.3), RATE)
    result = synthesize(tmp_path / name, "-o", tmp_path / "made")
    assert result.code == 2
    assert f"{tmp_path / name}: {message}" in result.err
    assert not (tmp_path / "made").exists()


def test_world_without_pyworld(synthesize: Run, genuine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra, world is refused by name before anything is made, and left out of the default."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    result = synthesize(genuine, "-o", tmp_path / "made", "--method", "world")
    assert result.code == 2
    assert "pip install 'deepfake-audio[vocoders]'" in result.err
    assert not (tmp_path / "made").exists()
    assert synthesize(genuine, "-o", tmp_path / "made", "--copies", "7").code == 0
    assert "world" not in {row["system"] for row in manifest(tmp_path / "made")}


def test_every_method_can_be_chosen() -> None:
    """The names of the command line are those of the library."""
    assert [choice.value for choice in Vocoder] == list(METHODS)


def test_progress_counts_recordings(genuine: Path, tmp_path: Path) -> None:
    """Who asks is told of each recording that is done."""
    told: list[tuple[str, int, int]] = []
    plan: Plan = synthesis.Plan(methods=("phase",))
    inputs = sorted(map(str, genuine.rglob("*.*")))
    made = synthesis.synthesise(genuine, inputs, tmp_path / "made", plan, progress=lambda *step: told.append(step))
    assert told == [("synthesising", step, 12) for step in range(1, 13)]
    assert (made.n_copies, made.bad) == (12, ())
