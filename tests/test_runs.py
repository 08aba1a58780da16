"""The table of training runs: appended lines come back, differ in what was changed, and anything else is refused."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import pytest

from deepfake_audio.calibration import Calibration
from deepfake_audio.errors import DataError, OutputError
from deepfake_audio.modelfile import ModelMetadata
from deepfake_audio.runs import RunRecord, append_run, differences, flattened, read_runs
from deepfake_audio.training import HeldOut, TrainingRun

if TYPE_CHECKING:
    from pathlib import Path

RECIPE: dict[str, Any] = {
    "name": "a",
    "seed": 0,
    "members": [
        {"backend": "svm", "features": [{"kind": "lfcc", "statistics": ["mean", "std"]}], "options": {"c": 2.0}}
    ],
}
HELD_OUT = HeldOut(4, 0.25, None, 0.75, 0.5, 0.1, [0.25], {"balanced": 0.0}, {"x": 1.0})
LINE: dict[str, Any] = {"recipe": RECIPE, "held_out": HELD_OUT.figures(), "seconds": 3.5, "fingerprint": "f"}


def run(name: str) -> TrainingRun:
    """Return a run that never took place."""
    training = {"held_out": HELD_OUT.figures(), "data": {"fingerprint": "f"}, "recorded": {"rooms": {"n": 3}}}
    metadata = ModelMetadata(
        name, "svm", 16_000, 16_000, 16_000, Calibration(1, 0), 0, 0, {}, {**RECIPE, "name": name}, training, {}
    )
    return TrainingRun("", "", metadata, HELD_OUT, [], [], {"reading": 1.26, "training": 2.2})


def record(**recipe: Any) -> RunRecord:
    """Return a line of the table with a changed recipe."""
    return RunRecord({**RECIPE, **recipe}, {}, 1.0, "f")


def test_appended_runs_are_read_in_order(tmp_path: Path) -> None:
    """Each run is one line, below those before it; blank lines do not count."""
    path = tmp_path / "runs.jsonl"
    for name in ("first", "zweiter ü"):
        append_run(path, run(name))
    assert len(path.read_text().splitlines()) == 2
    path.write_text(path.read_text() + "\n  \n")
    first, second = read_runs(path)
    assert first == RunRecord({**RECIPE, "name": "first"}, HELD_OUT.figures(), 3.5, "f", {"rooms": {"n": 3}})
    assert second.recipe["name"] == "zweiter ü"


def test_figures_leave_out_the_single_recordings() -> None:
    """The table has the figures, rounded, not what was said of each recording."""
    figures = HeldOut(3, 1 / 3, 2 / 3, 0.5, 0.123456, 0.1, [0.1], {}, {"x": 1.0}).figures()
    assert figures["eer"] == 0.3333
    assert figures["mean_eer"] == 0.6667
    assert "llr_genuine" not in figures


@pytest.mark.parametrize("place", ["nowhere/runs.jsonl", "."], ids=["no directory", "a directory"])
def test_a_table_that_cannot_be_written(tmp_path: Path, place: str) -> None:
    """The message names the file."""
    with pytest.raises(OutputError, match="cannot be written"):
        append_run(tmp_path / place, run("a"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(None, r"cannot be read \(No such file", id="missing"),
        pytest.param(b"", r"holds no runs; `deepfake-audio train --runs .*` appends one", id="empty"),
        pytest.param(b"\n\n", "holds no runs", id="blank lines"),
        pytest.param(b"\xff\xfe\n", r"cannot be read \('utf-8' codec", id="not UTF-8"),
    ],
)
def test_a_table_that_cannot_be_read(tmp_path: Path, content: bytes | None, message: str) -> None:
    """Each is one line that says why."""
    path = tmp_path / "runs.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_runs(path)


def changed(**changes: Any) -> str:
    """Return a line with some keys changed, and those set to ``...`` removed."""
    return json.dumps({key: value for key, value in {**LINE, **changes}.items() if value is not ...})


def figure(**changes: Any) -> str:
    """Return a line with a changed figure."""
    return changed(held_out={**LINE["held_out"], **changes})


HOSTILE = {
    "no JSON": "path,label",
    "list": "[1]",
    "number": "3",
    "nested without end": "[" * 100_000,
    "recipe nested without end": changed(recipe=...)[:-1] + ', "recipe": ' + '{"a":' * 900 + "1" + "}" * 900 + "}",
    "key missing": changed(seconds=...),
    "key unknown": changed(model="m"),
    "recipe a list": changed(recipe=[]),
    "recipe null": changed(recipe=None),
    "recipe a text": changed(recipe="name"),
    "recipe without name": changed(recipe={}),
    "figures a list": changed(held_out=[]),
    "figures missing": changed(held_out={}),
    "figure a text": figure(eer="0.1"),
    "figure null": figure(cllr=None),
    "figure NaN": figure(cllr=float("nan")),
    "figure infinite": figure(calibration_error=float("inf")),
    "figure absurd": figure(n=10**400),
    "mean a text": figure(mean_eer="x"),
    "seconds a text": changed(seconds="3"),
    "fingerprint a list": changed(fingerprint=[]),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_lines_that_are_no_runs(tmp_path: Path, kind: str) -> None:
    """Each is refused with its place in the file."""
    path = tmp_path / "runs.jsonl"
    path.write_text(f"{changed()}\n{HOSTILE[kind]}\n")
    with pytest.raises(DataError, match=r"runs\.jsonl, line 2: is no run that `deepfake-audio train --runs` wrote"):
        read_runs(path)


def test_flattened() -> None:
    """A recipe becomes pairs of a path and a text; lists of plain values stay together."""
    assert flattened(RECIPE) == {
        "name": "a",
        "seed": "0",
        "members.0.backend": "svm",
        "members.0.features.0.kind": "lfcc",
        "members.0.features.0.statistics": "mean,std",
        "members.0.options.c": "2.0",
    }


def test_differences() -> None:
    """What all runs share is left out, and so is the name; a choice that only some have is told where it is."""
    records = [record(), record(name="b", seed=1), record(seed=1, window_seconds=2.0)]
    assert differences(records) == [{"seed": "0"}, {"seed": "1"}, {"seed": "1", "window_seconds": "2.0"}]


def test_recordings_are_a_difference() -> None:
    """Recorded noise is no part of a recipe, but two runs that differ in it are not alike."""
    noisy = dataclasses.replace(record(), recorded={"noises": {"n": 2, "sha256": "ab"}})
    assert differences([record(), noisy]) == [{}, {"noises.n": "2", "noises.sha256": "ab"}]


def test_one_run_differs_from_nothing() -> None:
    """A single run has nothing to be compared with, and equal ones have no difference."""
    assert differences([record()]) == [{}]
    assert differences([record(), record(name="again")]) == [{}, {}]
