"""A model file as a record and as tables: every number is where it should be, and nothing in a file can break them."""

from __future__ import annotations

import dataclasses
import io
import json
import math
from typing import Any

import pytest
from graphs import KINDS, MEL, WINDOW, fusion, kernel_machine, made_model, metadata_of, network
from onnx import helper

from deepfake_audio.assembly import Branch, assembled
from deepfake_audio.inspection import Inspection, Part, Speed, inspect_model
from deepfake_audio.modelfile import SHIPPED, ModelMetadata, read_model, write_model
from deepfake_audio.reports.architecture import SCHEMA, inspection_record, plain, shaped, titles, write_inspection

TRAINING: dict[str, Any] = {
    "data": {
        "all": {"bonafide": 1_234, "spoof": 567, "sources": 8},
        "fingerprint": "f1e2",
        "layout": "csv",
        "partition": "train",
        "parts": [{}, {}],
    },
    "held_out": {
        "n": 1_800,
        "eer": 0.1234,
        "mean_eer": None,
        "balanced_accuracy": 0.875,
        "cllr": 0.5,
        "calibration_error": 0.02,
        "parts": [0.1, 0.2],
    },
    "recorded": {"noises": {"n": 77, "sha256": "00"}},
    "weights": [0.75, 0.25],
}


@pytest.fixture(scope="module")
def fused(tmp_path_factory: pytest.TempPathFactory) -> Inspection:
    """Return what is told of a kernel machine and three networks."""
    model, metadata = fusion()
    path = tmp_path_factory.mktemp("model") / "fused.onnx"
    write_model(path, model, dataclasses.replace(metadata, training=TRAINING))
    return inspect_model(read_model(path))


def table(found: Inspection, *, nodes: bool = False) -> str:
    """Return the tables of a model."""
    stream = io.StringIO()
    write_inspection(found, stream, nodes=nodes)
    return stream.getvalue()


def rows(text: str) -> list[list[str]]:
    """Return the cells of each line that has any."""
    return [[cell for cell in line.split("  ") if cell.strip()] for line in text.splitlines() if line.strip()]


def changed(found: Inspection, **changes: Any) -> Inspection:
    """Return what is told of a model with other metadata."""
    return dataclasses.replace(found, metadata=dataclasses.replace(found.metadata, **changes))


# --- the record ------------------------------------------------------------------------------------------------


def test_record(fused: Inspection) -> None:
    """The record holds what the file says of itself, and what was found in it; JSON can hold all of it."""
    record = json.loads(json.dumps(inspection_record(fused), allow_nan=False))
    assert record["schema"] == SCHEMA == "deepfake-audio-model/1"
    assert (record["path"], record["sha256"]) == (fused.path, fused.sha256)
    metadata = json.loads(fused.metadata.to_json())
    assert {key: record[key] for key in metadata} == metadata
    assert (record["window_seconds"], record["hop_seconds"]) == (0.5, 0.25)
    assert record["parameters"]["total"] == sum(fused.n_parameters.values())
    assert record["parameters"]["front_end"] == fused.n_parameters["front end"]
    assert record["bytes"]["total"] == sum(fused.n_bytes.values())
    assert record["cost"] == {
        "macs_per_window": fused.macs_per_window,
        "macs_per_second": 4 * fused.macs_per_window,
        "macs_by_part": {"front_end": fused.macs["front end"], "classifier": fused.macs["classifier"], "score": 0},
        "uncounted_operators": 0,
        "measured": None,
    }
    assert record["graph"] == {"ir_version": 8, "opsets": {"ai.onnx": 17}, "operators": len(fused.operators)}


def test_record_of_front_ends(fused: Inspection) -> None:
    """Each kind of features is there with its member, words, shape and every choice."""
    found = inspection_record(fused)["front_end"]
    assert [(kind["member"], kind["kind"], kind["shape"]) for kind in found] == [
        (1, "mfcc", [48]),
        (1, "lfcc", [8]),
        (1, "modulation", [44]),
        (2, "mel", [20, 41]),
    ]
    assert [kind["spec"] for kind in found] == [spec.to_dict() for spec in (*KINDS, MEL)]
    assert found[0]["words"] == "mel-frequency cepstrum, 12 coefficients of 24 bands, with first differences"
    assert found[0]["frames"] == "FFT 512, window 400 (25 ms), hop 160 (10 ms)"
    assert found[0]["statistics"] == ["mean", "std"]


def test_record_of_stages_and_nodes(fused: Inspection) -> None:
    """Stages name those that they read; nodes have all operators, with null for what is not known."""
    record = inspection_record(fused)
    stages = record["stages"]
    assert sum(stage["operators"] for stage in stages) == len(record["nodes"]) == len(fused.operators)
    assert stages[-1]["part"] == "score"
    assert stages[-1]["classifier"] is None
    assert [stages[place]["name"] for place in stages[-1]["reads"]] == ["machine", *["dense 2"] * 3]
    convolution = next(node for node in record["nodes"] if node["operator"] == "Conv" and node["parameters"] == 40)
    assert convolution["output_shapes"] == [[1, 4, 10, 21]]
    assert (convolution["macs"], convolution["constant"]) == (840 * 9, False)
    assert sum(node["macs"] for node in record["nodes"]) == record["cost"]["macs_per_window"]


def test_record_of_what_is_not_known(tmp_path: Any) -> None:
    """Shapes and costs that cannot be told are null, and counted."""
    nodes = [helper.make_node("Conv", ["x", "signal"], ["y"]), helper.make_node("Relu", ["y"], ["score"])]
    write_model(tmp_path / "m.onnx", made_model(nodes, {}, {"signal": ["n", WINDOW]}), metadata_of())
    found = inspect_model(read_model(tmp_path / "m.onnx"))
    record = inspection_record(found)
    assert record["cost"]["uncounted_operators"] == 1
    assert record["nodes"][0]["macs"] is None
    assert record["nodes"][0]["output_shapes"] == [None]
    (stage,) = record["stages"]
    assert (stage["macs"], stage["output"]) == (None, None)
    text = table(found, nodes=True)
    assert "M MAC per second of audio, without what cannot be told (1 operators)" in text
    assert ["Conv", "y", "x, signal", "?", "0", "?"] in [[cell.strip() for cell in row] for row in rows(text)]


def test_record_of_speed(fused: Inspection) -> None:
    """What was measured is said to be of one thread."""
    found = dataclasses.replace(fused, speed=Speed(40.126, 9, "x86_64"))
    assert inspection_record(found)["cost"]["measured"] == {
        "windows_per_second": 40.13,
        "audio_seconds_per_second": 10.03,
        "threads": 1,
        "windows": 9,
        "machine": "x86_64",
    }
    assert "40.1 windows, 10 s of audio, per second: on one thread of this machine (x86_64), the median of 9" in table(
        found
    )


def nested(depth: int) -> Any:
    """Return lists within lists."""
    value: Any = 1.0
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": [1, 2.5, "x", None, True]}, {"a": [1, 2.5, "x", None, True]}),
        ([math.inf, -math.inf, math.nan, {"a": math.nan}], [None, None, None, {"a": None}]),
        (nested(12), nested(12)),
        (10**400, 10**400),
    ],
)
def test_plain(value: Any, expected: Any) -> None:
    """What JSON can hold stays as it is; numbers that it cannot hold are null."""
    assert plain(value) == expected


def test_endless_depth(fused: Inspection) -> None:
    """What is nested deeper than anything of ours is cut off, and can be written."""
    found = inspection_record(changed(fused, training={"a": nested(900)}, recipe={"b": [nested(900)]}))
    text = json.dumps(found, indent=2, allow_nan=False)
    assert text.count("null") > 1
    assert "1.0" not in json.dumps(found["training"])


# --- the tables ------------------------------------------------------------------------------------------------


def test_summary(fused: Inspection) -> None:
    """The summary has what the file says of itself, in words."""
    found = {name.strip(): " ".join(cells).strip() for name, *cells in rows(table(fused).split("\nmember 1")[0])}
    size = sum(fused.n_bytes.values())
    assert found["model"] == "made (backend svm, format 2)"
    assert fused.sha256 in found["SHA-256"]
    assert found["made with"] == "numpy 2.0"
    assert found["graph"] == f"{len(fused.operators)} operators, ONNX IR version 8, opset ai.onnx 17"
    assert found["window / hop"] == "8,000 / 4,000 samples at 16,000 Hz (0.5 / 0.25 s)"
    assert found["calibration"] == "llr_genuine = 2 x mean score of the windows - 0.5"
    # 1 / (1 + e ** 0.25) = 43.8 %
    assert found["threshold"] == "llr_genuine 0.250 (P(deepfake) 43.8 %), inconclusive within 0.500"
    assert found["operating points"] == "balanced 0.000"
    assert found["familiarity"] == "inconclusive below 0.1000"
    assert found["training data"] == "1,234 genuine, 567 deepfake, 8 sources, layout csv, partition train"
    assert found["fingerprint"] == "f1e2"
    assert found["recorded noises"] == "77 recordings"
    assert found["held out"] == "1,800 recordings, in 2 parts, each in its turn"
    assert found["figures"] == "EER 12.3 %, balanced accuracy 87.5 %, Cllr 0.500 bits, calibration error 0.020"
    assert found["EER of each part"] == "10.0 %, 20.0 %"
    assert f"{size:,} bytes" in table(fused)


def test_layers(fused: Inspection) -> None:
    """Each part has a table under its name; networks of one make have one for all."""
    text = table(fused)
    lines = [[cell.strip() for cell in row] for row in rows(text)]
    titled = [line[0] for line in lines if line[0].startswith("member") or line == ["score"]]
    assert titled == [
        "member 1: front end",
        "member 1: classifier",
        "member 2: front end",
        "member 2: 3 classifiers, each of them",
        "score",
    ]
    assert ["lfcc", "linear-frequency cepstrum, 8 coefficients of 16", "512 / 400 / 160", "mean", "8"] in [
        line[:5] for line in lines
    ]
    assert ["mel", "mel spectrogram, 20 bands", "256 / 256 / 200", "20 x 41"] in [line[:4] for line in lines]
    assert ["convolution 1", "4 filters of 3x3, stride 2x2, ReLU, max pooling 2x2", "4 x 5 x 10", "40", "0.01"] in lines
    assert sum(line[0] == "convolution 1" for line in lines) == 1
    assert ["score", "weighted sum of 2 members", "1", "2", "0.00"] in lines
    all_of = next(line for line in lines if line[0] == "all")
    assert all_of[1:3] == [f"{sum(fused.n_parameters.values()):,}", f"{sum(fused.n_bytes.values()):,}"]


def test_the_score_of_one_classifier_is_no_table(tmp_path: Any) -> None:
    """Where one classifier gives the score, nothing joins it."""
    write_model(tmp_path / "m.onnx", assembled([Branch((MEL,), [network()])], WINDOW), metadata_of((MEL,)))
    found = inspect_model(read_model(tmp_path / "m.onnx"))
    assert titles(found) == {Part("front end", 1): "front end", Part("classifier", 1, 1): "classifier"}
    assert "weighted sum" not in table(found)
    assert "familiarity       not told" in table(found)


def test_nodes(fused: Inspection) -> None:
    """The operators are listed where they are wanted, each in a row."""
    assert "member1/classifier2/" not in table(fused)
    text = table(fused, nodes=True)
    for operator in fused.operators:
        assert operator.name in text
    line = next(line for line in text.splitlines() if line.startswith("Conv") and "1 x 4 x 10 x 21" in line)
    assert "0.01" in line


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_models(name: str) -> None:
    """The tables of the shipped models have every stage, and figures of training."""
    found = inspect_model(read_model(name))
    text = table(found)
    for stage in found.stages:
        if stage.part in titles(found):
            assert f"\n{stage.name} " in text
    assert found.metadata.training["data"]["fingerprint"] in text
    assert "EER" in text


@pytest.mark.parametrize(
    "training",
    [
        {},
        {"data": 3, "held_out": [], "recorded": "x"},
        {"data": {"all": {"bonafide": "many", "spoof": True}, "layout": 3, "parts": 3}, "held_out": {"n": None}},
        {"data": {"all": None, "fingerprint": {}}, "held_out": {"eer": math.nan, "parts": [None]}},
        {"held_out": {"n": 10**400, "eer": math.inf, "cllr": True, "parts": []}, "recorded": {"noises": {"n": "7"}}},
    ],
    ids=lambda training: str(training)[:50],
)
def test_training_that_says_nothing(training: dict[str, Any], fused: Inspection) -> None:
    """What is not as it should be is left out; nothing is made up."""
    text = table(changed(fused, training=training))
    for word in ("training data", "fingerprint", "held out", "figures", "EER", "recordings"):
        assert word not in text


def test_names_cannot_break_a_table(tmp_path: Any) -> None:
    """Control characters, markup and endless names from a file are written as what they are."""
    evil = "\x1b[2Jclear\n[red]r[/red]"
    node = helper.make_node("ReduceMean", ["signal"], ["score"], axes=[1], keepdims=0, name=evil)
    metadata: ModelMetadata = metadata_of(
        name="[bold]x[/bold]",
        backend=evil,
        versions={evil: evil},
        operating_points={evil: 0.5},
        training={"data": {"all": {"bonafide": 1}, "layout": evil, "fingerprint": evil}, "recorded": {evil: {"n": 1}}},
    )
    write_model(tmp_path / "m.onnx", made_model([node], {}, {"signal": ["n", WINDOW]}), metadata)
    text = table(inspect_model(read_model(tmp_path / "m.onnx")), nodes=True)
    assert "\x1b" not in text
    assert text.count("\\x1b[2Jclear\\n[red]r[/red]") >= 5
    assert "[bold]x[/bold]" in text


def test_shapes_as_text() -> None:
    """A number is 1, an axis of unknown length a question mark, and no shape no text."""
    assert [shaped(shape) for shape in ((1, 2_000), (None,), (), None)] == ["1 x 2,000", "?", "1", ""]


def test_machine_of_one_kernel_is_told(tmp_path: Any) -> None:
    """A model of one kind of features has no shared stage and no end to end."""
    kinds = KINDS[1:2]
    model = assembled([Branch(kinds, [kernel_machine("linear", kinds)])], WINDOW)
    write_model(tmp_path / "m.onnx", model, metadata_of(kinds))
    text = table(inspect_model(read_model(tmp_path / "m.onnx")))
    assert "shared" not in text
    assert "together" not in text
    assert "linear kernel; 8 features, 5 components, 7 landmarks" in text
