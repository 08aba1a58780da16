"""Reports: the records that programs read, and the tables that people read."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
import re
from pathlib import Path
from typing import Any, get_args

import pytest

import deepfake_audio
from deepfake_audio.calibration import Calibration, p_deepfake
from deepfake_audio.datasets import Label, Utterance
from deepfake_audio.detector import REASONS, Detection, ModelRef, Segment, Skipped, Verdict
from deepfake_audio.evaluation import Evaluation, Trials, evaluate
from deepfake_audio.localisation import Region
from deepfake_audio.modelfile import ModelMetadata
from deepfake_audio.reports.assessment import Assessment
from deepfake_audio.reports.documents import write_text
from deepfake_audio.reports.records import CSV_COLUMNS, WRITERS, evaluation_record, record
from deepfake_audio.reports.tables import write_runs, write_table, write_training
from deepfake_audio.runs import RunRecord
from deepfake_audio.training import HeldOut, TrainingRun

Result = Detection | Skipped

MODEL = ModelRef("default", "c" * 64)
SCORED = Detection(
    path="a.wav",
    verdict="deepfake",
    p_deepfake=0.930861579656653,
    llr_genuine=-2.600049,
    reasons=(),
    duration_seconds=12.4000001,
    speech_seconds=9.1,
    sample_rate=44_100,
    channels=2,
    sha256="b" * 64,
    segments=(Segment(0.0, 4.0, 0.97004), Segment(2.0, 6.00049, 0.5)),
    model=MODEL,
    regions=(Region(1.4996, 3.25, 0.95257, -3.0),),
)
UNSURE = dataclasses.replace(
    SCORED, path="b.wav", verdict="inconclusive", p_deepfake=0.5, llr_genuine=0.0, reasons=("too_short", "too_close")
)
SILENT = dataclasses.replace(
    SCORED, path="c.wav", verdict="no_speech", p_deepfake=None, llr_genuine=None, segments=(), regions=()
)
SKIPPED = Skipped("d.wav", "missing", "d.wav: there is no such file", MODEL)
ALL: list[Result] = [SCORED, UNSURE, SILENT, SKIPPED]

ODD_NAMES = [
    "komma, and; semicolon.wav",
    "\"quoted\" and 'single'.wav",
    "two\nlines.wav",
    "caf\\udce9.wav",
    "日本語 ünï.wav",
    "=1+1.wav",
    "[bold]x[/bold].wav",
    "[/red][link=https://example.org]x.wav",
    ":smile: \\[x].wav",
]
named = pytest.mark.parametrize("name", ODD_NAMES)


class Terminal(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def written(name: str, results: list[Result], *, segments: bool = False) -> str:
    """Return what one of the formats for programs makes of results."""
    stream = io.StringIO(newline="")
    WRITERS[name](iter(results), stream, segments=segments)
    return stream.getvalue()


def table(results: list[Result], *, segments: bool = False, stream: io.StringIO | None = None) -> str:
    """Return the table, without the blanks at the ends of its lines."""
    stream = stream or io.StringIO()
    write_table(iter(results), stream, segments=segments)
    return trimmed(stream)


def trimmed(stream: io.StringIO) -> str:
    """Return what was written, without the blanks at the ends of the lines."""
    return "".join(line.rstrip() + "\n" for line in stream.getvalue().splitlines())


def evaluation(
    systems: tuple[tuple[str, int], ...] = (("vits", 5), ("xtts", 6)), sources: tuple[str, str] = ("demo", "real")
) -> Evaluation:
    """Evaluate made-up detections, all of them right: for each spoofed recording a genuine one, of another source."""
    spoof = dataclasses.replace(SCORED, verdict="deepfake", llr_genuine=-2.0, p_deepfake=p_deepfake(-2.0))
    bonafide = dataclasses.replace(SCORED, verdict="genuine", llr_genuine=2.0, p_deepfake=p_deepfake(2.0))
    cases: list[tuple[Utterance, Result]] = []
    for system, n in systems:
        cases += [(Utterance(Path("x.wav"), Label.SPOOF, "x", source=sources[0], system=system), spoof)] * n
        cases += [(Utterance(Path("x.wav"), Label.BONAFIDE, "x", source=sources[1]), bonafide)] * n
    cases += [(cases[0][0], SILENT), (cases[0][0], SKIPPED)]
    return evaluate(Trials.of([utterance for utterance, _ in cases], [result for _, result in cases], 0.25))


def assessment(found: Evaluation, subject: str = "default", data: str = "x") -> Assessment:
    """Return what `evaluate` found, with nothing but an evaluation."""
    return Assessment(subject, data, "folders", (), (), SCORED.model, found)


def text(found: Evaluation, subject: str = "default", data: str = "x", stream: io.StringIO | None = None) -> str:
    """Return an evaluation as text, without the blanks at the ends of its lines."""
    stream = stream or io.StringIO()
    write_text(assessment(found, subject, data), stream)
    return trimmed(stream)


# --- for programs ----------------------------------------------------------------------------------------------


def test_record_of_a_detection() -> None:
    """The record has the documented keys, in their order, and numbers rounded to what they mean."""
    expected = {
        "schema": "deepfake-audio/1",
        "path": "a.wav",
        "status": "scored",
        "verdict": "deepfake",
        "p_deepfake": 0.9309,
        "llr_genuine": -2.6,
        "reasons": [],
        "duration_seconds": 12.4,
        "speech_seconds": 9.1,
        "sample_rate": 44_100,
        "channels": 2,
        "sha256": "b" * 64,
        "segments": [{"start": 0.0, "end": 4.0, "p_deepfake": 0.97}, {"start": 2.0, "end": 6.0, "p_deepfake": 0.5}],
        "regions": [{"start": 1.5, "end": 3.25, "p_deepfake": 0.9526}],
        "model": {"name": "default", "sha256": "c" * 64},
        "version": deepfake_audio.__version__,
    }
    found = record(SCORED, segments=True)
    assert found == expected
    assert list(found) == list(expected)
    assert record(SCORED) == {**expected, "segments": None, "regions": None}
    unlocated = dataclasses.replace(SCORED, regions=None)
    assert record(unlocated, segments=True) == {**expected, "regions": None}


def test_record_without_speech() -> None:
    """What was not scored has no number in place of a score."""
    found = record(SILENT, segments=True)
    assert {key: found[key] for key in ("status", "verdict", "p_deepfake", "llr_genuine", "segments", "regions")} == {
        "status": "scored",
        "verdict": "no_speech",
        "p_deepfake": None,
        "llr_genuine": None,
        "segments": [],
        "regions": [],
    }


def test_record_of_a_skipped_recording() -> None:
    """A recording that could not be scored says why, in a word for programs and a sentence for people."""
    expected = {
        "schema": "deepfake-audio/1",
        "path": "d.wav",
        "status": "skipped",
        "reason": "missing",
        "message": "d.wav: there is no such file",
        "model": {"name": "default", "sha256": "c" * 64},
        "version": deepfake_audio.__version__,
    }
    found = record(SKIPPED, segments=True)
    assert found == expected
    assert list(found) == list(expected)


@pytest.mark.parametrize("results", [[], [SCORED], ALL], ids=["none", "one", "many"])
@pytest.mark.parametrize("segments", [False, True])
def test_json(results: list[Result], segments: bool) -> None:  # noqa: FBT001 - a parameter of pytest
    """Any number of results is one valid JSON array of their records."""
    assert json.loads(written("json", results, segments=segments)) == [record(r, segments=segments) for r in results]


@pytest.mark.parametrize("results", [[], [SCORED], ALL], ids=["none", "one", "many"])
def test_jsonl(results: list[Result]) -> None:
    """Each result is one line."""
    text = written("jsonl", results, segments=True)
    lines = text.split("\n")
    assert lines.pop() == ""
    assert [json.loads(line) for line in lines] == [record(r, segments=True) for r in results]


def test_jsonl_is_written_as_it_comes() -> None:
    """Each line is there before the next recording is scored, so that an interrupted run keeps what it has."""
    flushed: list[str] = []

    class Stream(io.StringIO):
        def flush(self) -> None:
            flushed.append(self.getvalue())

    stream = Stream()
    results = iter(ALL)
    WRITERS["jsonl"]((next(results) for _ in range(2)), stream, segments=False)
    assert [text.count("\n") for text in flushed] == [1, 2]


def test_csv() -> None:
    """All rows have the same columns, with the values of the records; what a record lacks is empty."""
    rows = csv.DictReader(io.StringIO(written("csv", ALL, segments=True), newline=""))
    read = list(rows)
    assert rows.fieldnames == CSV_COLUMNS
    for row, result in zip(read, ALL, strict=True):
        expected = record(result, segments=True)
        model = expected.pop("model")
        expected |= {"model_name": model["name"], "model_sha256": model["sha256"]}
        expected["reasons"] = " ".join(expected.get("reasons", []))
        for key in ("segments", "regions"):
            expected[key] = json.dumps(expected[key]) if key in expected else None
        assert set(expected) <= set(row)
        assert row == {column: "" if (value := expected.get(column)) is None else str(value) for column in CSV_COLUMNS}
    assert [row["reasons"] for row in read] == ["", "too_short too_close", "", ""]
    for key in ("segments", "regions"):
        assert json.loads(read[0][key]) == record(SCORED, segments=True)[key]


def test_csv_without_results_or_segments() -> None:
    """The header is always there, and the columns of segments and regions stay empty unless they were asked for."""
    assert written("csv", []) == ",".join(CSV_COLUMNS) + "\n"
    (row,) = csv.DictReader(io.StringIO(written("csv", [SCORED])))
    assert row["segments"] == row["regions"] == ""


@named
@pytest.mark.parametrize("result", [SCORED, SKIPPED], ids=["scored", "skipped"])
def test_names_survive_in_every_format(name: str, result: Result) -> None:
    """A program gets back the name that it was given, whatever is in it."""
    odd = dataclasses.replace(result, path=name)
    assert json.loads(written("json", [odd]))[0]["path"] == name
    assert json.loads(written("jsonl", [odd]))["path"] == name
    (row,) = csv.DictReader(io.StringIO(written("csv", [odd]), newline=""))
    assert row["path"] == name


def test_evaluation_record() -> None:
    """An evaluation becomes JSON, with its context first and everything that the evaluation holds."""
    values = json.loads(json.dumps(evaluation_record(assessment(evaluation(), data="corpus")), allow_nan=False))
    context = ["schema", "subject", "data", "layout", "partition", "subset", "model"]
    assert list(values)[:7] == context
    assert values["schema"] == "deepfake-audio-evaluation/2"
    rest = {"comparison", "stress", "shortcuts", "versions", "version"}
    assert set(values) == {*context, *rest, *(field.name for field in dataclasses.fields(Evaluation))}
    assert values["figures"]["eer"] == {"value": 0.0, "low": None, "high": None}
    assert values["at_eer"]["threshold"] == pytest.approx(-2.0)
    assert [part["name"] for part in values["breakdowns"][0]["parts"]] == ["vits", "xtts"]
    assert values["most_certain"][-1] == {"share": 0.5, "n": 11, "error_rate": 0.0, "margin": 2.25}
    assert values["skipped"] == {
        "n": 1,
        "reasons": {SKIPPED.reason: 1},
        "first": [{key: record(SKIPPED)[key] for key in ("path", "reason", "message")}],
    }


def test_evaluation_record_counts_thousands_of_skips() -> None:
    """Of many recordings that could not be read some are named, and all are counted."""
    many = dataclasses.replace(evaluation(), skipped=(SKIPPED,) * 5_000)
    values = evaluation_record(assessment(many))["skipped"]
    assert (values["n"], values["reasons"], len(values["first"])) == (5_000, {SKIPPED.reason: 5_000}, 20)


def test_a_path_can_be_opened_again() -> None:
    """Whatever a name holds, JSON gives it back as it was; the table and messages stay on one line."""
    for path in ("a\u202fb.wav", "\u3000.wav", "two\nlines.wav", os.fsdecode(b"caf\xe9.wav")):
        result = dataclasses.replace(SCORED, path=path)
        stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace")
        WRITERS["jsonl"]([result], stream, segments=False)
        stream.seek(0)
        assert json.loads(stream.read())["path"] == path
        assert len(table([result]).splitlines()) == 2


# --- for people ------------------------------------------------------------------------------------------------


def test_table() -> None:
    """One row per recording: verdict in words, a percentage, how much speech, and why."""
    note = "less than 1 s of speech; the evidence is too weak either way"
    assert table(ALL) == (
        "recording  verdict       P(deepfake)  speech  note\n"
        "a.wav      deepfake           93.1 %   9.1 s\n"
        f"b.wav      inconclusive       50.0 %   9.1 s  {note}\n"
        "c.wav      no speech                   9.1 s\n"
        "d.wav      not scored                         there is no such file\n"
    )


def test_table_with_segments() -> None:
    """Below a recording stand its regions and its windows, with their times."""
    assert table([SCORED, SKIPPED], segments=True) == (
        "recording              verdict     P(deepfake)  speech  note\n"
        "a.wav                  deepfake         93.1 %   9.1 s\n"
        "     1.50 -    3.25 s  region           95.3 %          looks synthetic\n"
        "     0.00 -    4.00 s                   97.0 %\n"
        "     2.00 -    6.00 s                   50.0 %\n"
        "d.wav                  not scored                       there is no such file\n"
    )


@pytest.mark.parametrize(
    ("verdict", "reasons", "note"),
    [
        pytest.param("genuine", (), "but a part looks synthetic: see below", id="genuine"),
        pytest.param(
            "inconclusive",
            ("too_close",),
            "the evidence is too weak either way; but a part looks synthetic: see below",
            id="inconclusive",
        ),
        pytest.param("deepfake", (), None, id="deepfake"),
    ],
)
def test_regions_that_the_verdict_does_not_tell_of(
    verdict: Verdict, reasons: tuple[str, ...], note: str | None
) -> None:
    """A verdict is about the whole recording: where a part of it speaks against it, a note says so."""
    part = dataclasses.replace(SCORED, verdict=verdict, reasons=reasons)
    told = " ".join(table([part], segments=True).split())
    assert note in told if note else "but a part" not in told
    for result, segments in ((part, False), (dataclasses.replace(part, regions=()), True)):
        assert "looks synthetic" not in table([result], segments=segments)


def test_table_of_nothing() -> None:
    """Without results there is the header."""
    assert table([]) == "recording  verdict  P(deepfake)  speech  note\n"


@named
def test_names_are_shown_literally(name: str) -> None:
    """Nothing in a name is taken for a style, a link or an emoji."""
    shown = table([dataclasses.replace(SCORED, path=name), dataclasses.replace(SKIPPED, message=f"e: {name}")])
    for line in name.split("\n"):
        assert shown.count(line) == 2


def verdicts_on_terminal(monkeypatch: pytest.MonkeyPatch, **environment: str) -> str:
    """Return the table as a terminal gets it."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM", "COLORTERM", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm-256color", **environment}.items():
        monkeypatch.setenv(name, value)
    return table(ALL, stream=Terminal())


def test_colours_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal gets a deepfake in red; NO_COLOR turns the colour off."""
    assert re.search(r"\x1b\[[0-9;]*31m *deepfake", verdicts_on_terminal(monkeypatch))
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", verdicts_on_terminal(monkeypatch, NO_COLOR="1"))


@pytest.mark.parametrize("variable", ["FORCE_COLOR", "TTY_COMPATIBLE", "CLICOLOR_FORCE"])
def test_no_colours_elsewhere(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file or pipe gets plain text, also where an environment (as in CI) wants colours on terminals."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv(variable, "1")
    assert "\x1b" not in table(ALL, segments=True) + text(evaluation())


def test_long_names_are_folded() -> None:
    """A long name goes on in the next line: all of it is there."""
    name = "folder/" + "".join(f"{n:04}" for n in range(100)) + ".wav"
    shown = table([dataclasses.replace(SCORED, path=name), dataclasses.replace(SKIPPED, path=name)])
    lines = shown.splitlines()[1:]
    assert "".join(line.split("  ")[0] for line in lines) == name * 2
    assert max(map(len, lines)) <= 120


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_narrow_terminals(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However narrow the terminal, nothing is cut off, and verdicts stay in one piece."""
    shown = verdicts_on_terminal(monkeypatch, COLUMNS=str(columns), NO_COLOR="1")
    evaluated = text(evaluation(sources=("a-source-with-quite-a-long-name", "real")), stream=Terminal())
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown + evaluated)
    assert "…" not in plain
    assert max(map(len, plain.splitlines())) <= columns
    for verdict in ("deepfake", "inconclusive", "no speech", "not scored"):
        assert verdict in plain


@pytest.mark.parametrize("verdict", get_args(Verdict))
def test_every_verdict_has_its_style(verdict: Verdict) -> None:
    """No verdict is forgotten."""
    assert verdict.replace("_", " ") in table([dataclasses.replace(SCORED, verdict=verdict)])


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_has_its_words(reason: str) -> None:
    """A person reads a sentence, not the word for programs."""
    shown = table([dataclasses.replace(UNSURE, reasons=(reason,))])
    assert REASONS[reason] in shown
    assert reason not in shown


RECIPE: dict[str, Any] = {"name": "[b]mine", "seed": 0, "members": [{"backend": "svm", "options": {"c": 1.0}}]}


def training_run(mean_eer: float | None = 0.0567) -> TrainingRun:
    """Return what a training run that never took place would have done."""
    counts = {"bonafide": 1_200, "spoof": 1_300, "sources": 94}
    held_out = HeldOut(500, 0.1234, mean_eer, 0.875, 0.4567, 0.0444, [0.125, 0.1], {"balanced": 0.0}, {"a.wav": 1.0})
    training: dict[str, Any] = {
        "data": {"all": counts, "parts": [counts, {**counts, "spoof": 7}], "fingerprint": "f"},
        "held_out": held_out.figures(),
        "onnx_difference": 2e-6,
    }
    metadata = ModelMetadata(
        "[b]mine", "svm", 16_000, 16_000, 8_000, Calibration(1, 0), 0, 0.5, {}, RECIPE, training, {}
    )
    bad = [{"path": "x.wav", "reason": "empty", "message": "x.wav: is empty"}]
    return TrainingRun("out/[i]mine.onnx", "d" * 64, metadata, held_out, [{}], bad, {"reading": 3.4, "training": 61.7})


TRAINING_TABLE = """\
recordings                       1,200 genuine, 1,300 deepfake, 94 sources
left out as unusable             1
held out, part 1                 1,200 genuine, 1,300 deepfake, 94 sources: EER 12.5 %
held out, part 2                 1,200 genuine, 7 deepfake, 94 sources: EER 10.0 %
on what was held out             500 recordings
  EER / mean over sources        12.3 % / 5.7 %
  balanced accuracy              87.5 %
  Cllr / calibration error       0.457 bits / 0.044
ONNX equals the original within  2e-06
seconds                          reading 3, training 62
model                            out/[i]mine.onnx ([b]mine, SHA-256 dddddddddddddddd...)
"""


def test_training_table() -> None:
    """A training run says what it learnt from, how well it does on what it kept back, and what it wrote."""
    stream = io.StringIO()
    write_training(training_run(), stream)
    assert trimmed(stream) == TRAINING_TABLE


def test_training_table_without_a_model() -> None:
    """A run that only cross-validates names no model; a mean that does not exist says why."""
    stream = io.StringIO()
    write_training(dataclasses.replace(training_run(mean_eer=None), model="", sha256=""), stream)
    expected = TRAINING_TABLE.replace("12.3 % / 5.7 %", "12.3 % / none has both")
    assert trimmed(stream) == expected[: expected.index("model  ")]


def run_record(
    name: str = "[b]mine", fingerprint: str = "f", mean_eer: float | None = 0.05, c: float = 1.0
) -> RunRecord:
    """Return a line of the table of runs."""
    recipe = {"name": name, "seed": 0, "members": [{"backend": "svm", "options": {"c": c}}]}
    held_out = {**training_run().held_out.figures(), "mean_eer": mean_eer}
    return RunRecord(recipe, held_out, 1234.5, fingerprint)


def runs_table(*records: RunRecord) -> str:
    """Return the table of runs."""
    stream = io.StringIO()
    write_runs(records, stream)
    return trimmed(stream)


def test_table_of_runs() -> None:
    """Each run has its figures, and below stands what differs between the recipes."""
    assert runs_table(run_record(), run_record("b\nc", c=2.5, mean_eer=None)) == (
        "run  name     recordings     EER  per source  balanced accuracy   Cllr  calibration error  seconds\n"
        "1    [b]mine         500  12.3 %       5.0 %             87.5 %  0.457              0.044    1,234\n"
        "2    b\\nc            500  12.3 %                         87.5 %  0.457              0.044    1,234\n"
        "\n"
        "1: members.0.options.c=1.0\n"
        "\n"
        "2: members.0.options.c=2.5\n"
    )


def test_table_of_one_run() -> None:
    """A single run differs from nothing."""
    assert len(runs_table(run_record()).splitlines()) == 2


def test_runs_of_different_data() -> None:
    """Figures of different data cannot be compared, and the table says so."""
    note = "\nthe runs are of different data: their figures cannot be compared\n"
    assert runs_table(run_record(), run_record(fingerprint="g")).endswith(note)
    assert note not in runs_table(run_record(), run_record())


def test_names_in_the_table_of_runs() -> None:
    """A name is shown as it is, one that would move the cursor is not."""
    assert "[red]x\\x1b[2J" in runs_table(run_record("[red]x\x1b[2J"))
