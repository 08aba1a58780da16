"""The command `analyze`, the command that makes its ranges, and what both write."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile
from commandline import Outcome, Run
from signals import RATE, silence, voice

from deepfake_audio import __version__
from deepfake_audio.analysis import (
    FIGURES,
    Analysis,
    Event,
    Figure,
    NotAnalysed,
    analyse,
    analyse_recording,
    read_reference,
)
from deepfake_audio.audio import recording_of
from deepfake_audio.reports.analysis import (
    CAVEAT,
    analysis_record,
    events_in_words,
    facts_in_words,
    range_in_words,
    reference_in_words,
    value_in_words,
    write_json,
    write_jsonl,
    write_table,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEYS = [
    "schema",
    "path",
    "status",
    "duration_seconds",
    "analysed_seconds",
    "speech_seconds",
    "sample_rate",
    "channels",
    "sha256",
    "figures",
    "events",
    "contours",
    "reference",
    "version",
]


KINDS = ("json", "jsonl", "ndjson")


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a recording with a muted half second that was made softer further on."""
    signal = np.concatenate([voice(3.0, seed=3), silence(0.5), voice(3.0, seed=4)])
    signal[round(5.0 * RATE) :] *= np.float32(10 ** (-20 / 20))
    path = tmp_path_factory.mktemp("analyze") / "call.wav"
    soundfile.write(path, np.stack([signal, signal], axis=1), RATE, subtype="PCM_24")
    return path


@pytest.fixture(scope="module")
def analysis(recording: Path) -> Analysis:
    """Return the analysis of the recording."""
    found = analyse(recording)
    assert isinstance(found, Analysis)
    return found


def written(write: Callable[..., None], *results: Analysis | NotAnalysed, **options: Any) -> str:
    """Return what a report writes."""
    stream = io.StringIO()
    write(results, stream, **options)
    return stream.getvalue()


# --- records ---------------------------------------------------------------------------------------------------


def test_record(recording: Path, analysis: Analysis) -> None:
    """A record holds the facts, every figure with its unit and range, the events, and where the ranges come from."""
    record = analysis_record(analysis)
    assert list(record) == KEYS
    assert (record["schema"], record["status"], record["path"]) == (
        "deepfake-audio-analysis/1",
        "analysed",
        str(recording),
    )
    assert (record["duration_seconds"], record["analysed_seconds"]) == (6.5, 6.5)
    assert (record["sample_rate"], record["channels"], record["sha256"]) == (RATE, 2, analysis.sha256)
    assert (record["contours"], record["version"]) == (None, __version__)
    assert list(record["figures"]) == list(FIGURES)
    for figure in analysis.figures:
        entry = record["figures"][figure.name]
        assert list(entry) == ["value", "unit", "low", "high", "outside", "note"]
        assert entry["value"] == (None if figure.value is None else pytest.approx(figure.value, abs=1e-4))
        assert entry["low"] == (None if figure.low is None else pytest.approx(figure.low, abs=1e-4))
        assert (entry["unit"], entry["outside"], entry["note"]) == (figure.unit, figure.outside, figure.note)
    assert record["figures"]["loudness_dbfs"]["low"] is None
    assert [(event["kind"], event["seconds"]) for event in record["events"]] == [
        ("jolt", pytest.approx(3.0, abs=0.02)),  # a voice that is cut off
        ("digital_silence", pytest.approx(3.0, abs=0.002)),
        ("level_step", pytest.approx(5.0, abs=0.2)),
    ]
    shipped = read_reference()
    assert record["reference"] == {
        "n_clips": shipped.n_clips,
        "n_sources": shipped.n_sources,
        "fingerprint": shipped.fingerprint,
    }


def test_contours(analysis: Analysis) -> None:
    """Contours are three lists of one length; where no voice is heard the pitch is null."""
    contours = analysis_record(analysis, contours=True)["contours"]
    assert list(contours) == ["seconds", "pitch_hz", "level_db"]
    assert [len(track) for track in contours.values()] == [650, 650, 650]
    assert contours["seconds"][:2] == [0.005, 0.015]
    assert {pitch is None for pitch in contours["pitch_hz"]} == {True, False}
    assert contours["level_db"][320] == -120.0
    for hz, track in zip(contours["pitch_hz"], analysis.pitch_hz, strict=True):
        assert np.isnan(track) if hz is None else hz == pytest.approx(track, abs=0.051)


def test_record_of_what_cannot_be_read() -> None:
    """A recording that cannot be read has a record with a reason."""
    record = analysis_record(NotAnalysed("a.wav", "missing", "a.wav: there is no such file"))
    assert record == {
        "schema": "deepfake-audio-analysis/1",
        "path": "a.wav",
        "status": "skipped",
        "reason": "missing",
        "message": "a.wav: there is no such file",
        "version": __version__,
    }


def test_json(analysis: Analysis) -> None:
    """JSON is one array, JSON lines an object a line, of the same records; both are strict JSON."""
    skipped = NotAnalysed("b.wav", "missing", "b.wav: there is no such file")
    expected = [analysis_record(analysis, contours=True), analysis_record(skipped)]

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    text = written(write_json, analysis, skipped, contours=True)
    assert json.loads(text, parse_constant=refuse) == expected
    lines = written(write_jsonl, analysis, skipped, contours=True).splitlines()
    assert [json.loads(line, parse_constant=refuse) for line in lines] == expected
    assert json.loads(written(write_json)) == []
    assert written(write_jsonl) == ""


# --- for people ------------------------------------------------------------------------------------------------


def test_table(recording: Path, analysis: Analysis) -> None:
    """The table has a line per figure, in order, with its value and the range; then the places, ranges, the caveat."""
    lines = written(write_table, analysis).splitlines()
    assert max(map(len, lines)) <= 120
    assert lines[0] == str(recording)
    assert lines[1] == facts_in_words(analysis)
    assert re.split(r"\s{2,}", lines[2].strip()) == ["figure", "value", "genuine clips", "note"]
    text = "\n".join(lines)
    places = [text.index(spec.title[:20]) for spec in FIGURES.values()]
    assert places == sorted(places)
    for figure in analysis.figures:
        assert value_in_words(figure) in text
    flowing = " ".join(text.split())
    assert CAVEAT in flowing
    assert " ".join(reference_in_words(analysis.reference).split()) in flowing
    assert "digital silence begins: 3.00 s (0.50 s)" in lines


def test_the_caveat_says_that_it_is_no_verdict(analysis: Analysis) -> None:
    """Whatever is found, the table says that this is no verdict; and no line of it names one."""
    text = written(write_table, analysis).lower()
    assert "no verdict" in text
    assert "deepfake" not in text.replace("deepfake-audio", "")


def test_words(analysis: Analysis) -> None:
    """Values have their unit and few digits, ranges none where there is none, -0 is 0."""
    assert value_in_words(analysis.figure("pauses")) == "1"
    assert value_in_words(Figure("dc_offset_percent", -0.0001, None, outside=False, note="")) == "0.00 %"
    assert value_in_words(Figure("dc_offset_percent", -1234.5678, None, outside=False, note="")) == "-1,234.57 %"
    assert re.fullmatch(r"\d+ Hz", value_in_words(analysis.figure("pitch_median_hz")))
    assert range_in_words(analysis.figure("bandwidth_hz")).endswith(" to 8,000")
    assert range_in_words(analysis.figure("peak_dbfs")) == ""
    nothing = analyse_recording(recording_of(silence(1.0), RATE))
    assert value_in_words(nothing.figure("pitch_median_hz")) == "-"


@pytest.mark.parametrize(
    ("channels", "words"), [(1, "mono"), (2, "stereo"), (6, "6 channels")], ids=["mono", "stereo", "six"]
)
def test_facts(channels: int, words: str) -> None:
    """The facts are one line."""
    signal = np.stack([voice(2.0)] * channels, axis=1)
    found = analyse_recording(recording_of(signal, RATE))
    assert facts_in_words(found) == f"2.00 s, {found.speech_seconds:.2f} s of speech, 16,000 Hz, {words}"


def test_facts_of_a_long_recording(analysis: Analysis) -> None:
    """Where only the first part was analysed in detail, that is said."""
    long = dataclasses.replace(analysis, duration_seconds=5_000.0, analysed_seconds=600.0)
    assert "5,000.00 s" in facts_in_words(long)
    assert "the first 10 minutes" in facts_in_words(long)
    assert "minutes" not in facts_in_words(analysis)


def test_events_in_words(analysis: Analysis) -> None:
    """Places are named in order of time with their strength, the strongest dozen of each kind."""
    events = tuple(Event("jolt", float(second), 20.0 + second, "") for second in range(20))
    events += (Event("level_step", 2.0, 9.04, "dB"), Event("digital_silence", 3.0, 0.256, "s"))
    jolts, steps, silences = events_in_words(dataclasses.replace(analysis, events=events))
    assert jolts.startswith("a jolt: a click, or a cut without a fade: 8.00 s (28.0 times), 9.00 s (29.0 times)")
    assert jolts.endswith("19.00 s (39.0 times), and 8 more")
    assert steps == "the level steps up or down: 2.00 s (9.0 dB)"
    assert silences == "digital silence begins: 3.00 s (0.26 s)"
    assert len(events_in_words(analysis)) == 3


def test_reference_in_words() -> None:
    """What the ranges are of is said, and why some figures have none; without such, no more."""
    shipped = read_reference()
    text = reference_in_words(shipped)
    assert text.startswith("Ranges: percentiles 1 and 99 of 1,648 clips with up to 3.4 s of speech from 70 sources")
    assert "None for: mean level, peak level, noise floor (levels of these clips were set); " in text
    ranges = dict.fromkeys(FIGURES, shipped.ranges["jolt_ratio"])
    assert "None for" not in reference_in_words(dataclasses.replace(shipped, left_out={}, ranges=ranges))


def test_table_of_what_cannot_be_read() -> None:
    """What cannot be read has its reason, and there is no word on ranges that were not used."""
    text = written(write_table, NotAnalysed("a\x1b.wav", "missing", "a\\x1b.wav: there is no such file"))
    assert text == "a\\x1b.wav\nnot analysed: there is no such file\n\n"


# --- the command -----------------------------------------------------------------------------------------------


def test_analyze(recording: Path, analysis: Analysis, run: Run) -> None:
    """A file gives its table on standard output, and nothing else anywhere."""
    assert run("analyze", recording) == Outcome(0, written(write_table, analysis), "")


@pytest.mark.parametrize(("how", "kind"), [("-f", "json"), ("-f", "jsonl"), *(("-o", k) for k in KINDS)])
def test_formats(how: str, kind: str, recording: Path, analysis: Analysis, run: Run, tmp_path: Path) -> None:
    """The format is that asked for, or that of the suffix of the output."""
    if how == "-o":
        outcome = run("analyze", recording, "--contours", "-o", tmp_path / f"out.{kind}")
        assert outcome == Outcome(0, "", "")
        text = (tmp_path / f"out.{kind}").read_text()
    else:
        text = run("analyze", recording, "--contours", "-f", kind).out
    records = json.loads(text) if kind == "json" else [json.loads(line) for line in text.splitlines()]
    assert records == [analysis_record(analysis, contours=True)]


def test_several(recording: Path, run: Run, tmp_path: Path) -> None:
    """Several inputs have a record each, in order; what cannot be read is named, and the exit code is 3."""
    soundfile.write(tmp_path / "two.flac", voice(1.0), RATE)
    (tmp_path / "three.wav").write_text("no audio")
    outcome = run("analyze", recording, tmp_path, "gone.wav", "-f", "jsonl")
    assert outcome.code == 3
    assert [(record["path"], record["status"]) for record in outcome.records] == [
        (str(recording), "analysed"),
        (str(tmp_path / "three.wav"), "skipped"),
        (str(tmp_path / "two.flac"), "analysed"),
        ("gone.wav", "skipped"),
    ]
    assert outcome.err.splitlines()[-1] == "deepfake-audio: 4 recordings: 2 analysed, 2 not"
    assert "deepfake-audio: gone.wav: there is no such file" in outcome.err
    assert "4 recordings" not in run("analyze", recording, tmp_path, "gone.wav", "-q").err


@pytest.mark.parametrize(
    "name",
    [
        "komma, and; semicolon.wav",
        "two\nlines.wav",
        "[bold]x[bold].wav",
        "<img src=x onerror=alert(1)>.wav",
        "日本.wav",
    ],
)
def test_odd_names(name: str, run: Run, tmp_path: Path) -> None:
    """Odd names are printed on one line in a table, and kept as they are in a record."""
    soundfile.write(tmp_path / "a.wav", voice(1.0), RATE)
    (tmp_path / "a.wav").rename(tmp_path / name)
    table = run("analyze", tmp_path / name)
    assert table.code == 0
    assert name.replace("\n", "\\n") in table.out.replace("\n", "") + table.out
    assert run("analyze", tmp_path / name, "-f", "jsonl").records[0]["path"] == str(tmp_path / name)


def test_wrong_usage(recording: Path, run: Run, tmp_path: Path) -> None:
    """What cannot be is said in one line, before any work."""
    assert run("analyze", recording, "--contours").code == 2
    empty = run("analyze", tmp_path)
    assert (empty.code, empty.err) == (2, f"deepfake-audio: no audio files below {tmp_path}\n")
    onto_itself = run("analyze", recording, "-o", recording)
    assert onto_itself.code == 2
    assert "is an input" in onto_itself.err
    no_ranges = run("analyze", recording, "--ranges", tmp_path / "none.json")
    assert (no_ranges.code, no_ranges.out) == (2, "")
    assert "none.json: cannot be read" in no_ranges.err


def test_ranges_of_ones_own(recording: Path, run: Run, tmp_path: Path) -> None:
    """From a data set come ranges, and with them recordings are compared."""
    for label in ("genuine", "fake"):
        (tmp_path / "data" / label).mkdir(parents=True)
        soundfile.write(tmp_path / "data" / label / "0.wav", voice(1.0, seed=1), RATE)
    for number in range(1, 100):
        soundfile.write(tmp_path / "data" / "genuine" / f"{number}.wav", voice(1.0, seed=number), RATE)
    ranges = tmp_path / "ranges.json"
    options = ("--description", "voices", "--leave-out", "crest_db=too even", "-o", ranges, "--jobs", "1")
    outcome = run("analysis-ranges", tmp_path / "data", *options)
    assert (outcome.code, outcome.out) == (0, "")
    assert "100 genuine, 1 deepfake recordings" in outcome.err
    found = read_reference(ranges)
    assert (found.n_clips, found.description, found.left_out["crest_db"]) == (100, "voices", "too even")
    (record,) = run("analyze", recording, "--ranges", ranges, "-f", "jsonl").records
    assert record["reference"]["fingerprint"] == found.fingerprint != read_reference().fingerprint
    assert record["figures"]["loudness_dbfs"]["low"] == pytest.approx(found.ranges["loudness_dbfs"].p1, abs=1e-3)
    assert "(voices)" in run("analyze", recording, "--ranges", ranges).out
    assert run("analyze", recording, "--ranges", ranges, "-o", ranges).code == 2
    assert run("analysis-ranges", tmp_path / "data", "--leave-out", "crest_db", "-o", ranges).code == 2
    assert read_reference(ranges) == found


def test_ranges_need_genuine_recordings(run: Run, voices: Path) -> None:
    """Thirty recordings are too few; nothing is written."""
    outcome = run("analysis-ranges", voices, "--jobs", "1", "-q")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == "deepfake-audio: ranges need 100 genuine clips or more, there are 30\n"


def test_the_command_that_makes_ranges_is_hidden(run: Run) -> None:
    """It is there for those who look for it."""
    assert "analyze" in run("--help").out
    assert "analysis-ranges" not in run("--help").out
    assert "--leave-out" in run("analysis-ranges", "--help").out


@pytest.mark.parametrize(
    ("args", "absent"),
    [
        (("analyze", "--help"), ("numpy", "librosa", "scipy")),
        (("analyze", "RECORDING"), ("librosa", "numba", "scipy", "sklearn", "matplotlib", "onnxruntime")),
    ],
    ids=["help", "analysis"],
)
def test_start(args: tuple[str, ...], absent: tuple[str, ...], recording: Path) -> None:
    """Help comes without numpy, and an analysis without any library that takes long to import."""
    command = [str(recording) if arg == "RECORDING" else arg for arg in args]
    program = (
        "import sys; from deepfake_audio import cli\n"
        f"sys.argv = ['deepfake-audio', *{command!r}]\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        f"sys.exit(', '.join(name for name in {absent!r} if name in sys.modules) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "80"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout
