"""The model file: what was written is read back, and whatever else lies under such a name is refused in one line."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib  # type: ignore[import-untyped]
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from deepfake_audio import modelfile, runtime
from deepfake_audio.calibration import Calibration
from deepfake_audio.detector import Detector
from deepfake_audio.errors import ModelFileError, OutputError
from deepfake_audio.modelfile import METADATA_KEY, ModelMetadata, read_model, resolve_model, write_model

if TYPE_CHECKING:
    from collections.abc import Callable

WINDOW = 1_600
METADATA = ModelMetadata(
    name="mean",
    backend="svm",
    sample_rate=16_000,
    window_samples=WINDOW,
    hop_samples=WINDOW,
    calibration=Calibration(2.0, -0.5),
    threshold=0.25,
    margin=0.5,
    operating_points={"balanced": 0.0, "few-misses": 1.5},
    recipe={"members": [{"backend": "svm"}]},
    training={"seed": 3, "facts": [1, None, "ü"]},
    versions={"numpy": "2.0"},
)


KNOWING = dataclasses.replace(METADATA, familiarity=0.125)


def model_of(*nodes: Any, initializers: tuple[Any, ...] = (), **changes: Any) -> Any:
    """Return a model whose score is the mean of the window, or what the nodes make of ``signal``."""
    nodes = nodes or (helper.make_node("ReduceMean", ["signal"], ["score"], axes=[1], keepdims=0),)
    signal = helper.make_tensor_value_info("signal", TensorProto.FLOAT, ["n", WINDOW])
    score = helper.make_tensor_value_info("score", TensorProto.FLOAT, ["n"])
    inputs, outputs = changes.pop("inputs", [signal]), changes.pop("outputs", [score])
    graph = helper.make_graph(nodes, "g", inputs, outputs, initializers)
    changes.setdefault("opset_imports", [helper.make_opsetid("", 17)])
    return helper.make_model(graph, ir_version=8, **changes)


def knowing(*nodes: Any, **changes: Any) -> Any:
    """Return a model with a familiarity, the maximum of the window or what the nodes make of ``signal``."""
    mean = helper.make_node("ReduceMean", ["signal"], ["score"], axes=[1], keepdims=0)
    nodes = nodes or (helper.make_node("ReduceMax", ["signal"], ["familiarity"], axes=[1], keepdims=0),)
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in ("score", "familiarity")]
    return model_of(mean, *nodes, **{"outputs": outputs, **changes})


def save(path: Path, model: Any, metadata: str | None = None) -> Path:
    """Write a model with any text as its metadata, without the checks of ``write_model``."""
    helper.set_model_props(model, {METADATA_KEY: METADATA.to_json() if metadata is None else metadata})
    path.write_bytes(model.SerializeToString())
    return path


def tensor(**changes: Any) -> Any:
    """Return a tensor of one number, changed."""
    made = helper.make_tensor("weight", TensorProto.FLOAT, [1], [1.0])
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def external() -> Any:
    """Return a tensor whose numbers lie in another file."""
    made = tensor(data_location=TensorProto.EXTERNAL)
    del made.float_data[:]
    made.external_data.add(key="location", value="secret.bin")
    return made


@pytest.fixture
def no_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail where a session is opened."""
    monkeypatch.setattr(runtime, "open_session", lambda *_: pytest.fail("a session was opened"))


# --- what fits -------------------------------------------------------------------------------------------------


def test_round_trip(tmp_path: Path) -> None:
    """What was written is what is read, the hash is that of the file, and the graph computes what it says."""
    path = tmp_path / "a model ü.onnx"
    sha256 = write_model(path, model_of(), METADATA)
    model = read_model(path)
    assert model.metadata == METADATA
    assert model.path == path
    assert sha256 == model.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    windows = np.random.default_rng(0).standard_normal((5, WINDOW)).astype(np.float32)
    found = model.score(windows)
    np.testing.assert_allclose(found.score, windows.mean(axis=1), atol=1e-6)
    assert found.familiarity is None


def test_round_trip_with_familiarity(tmp_path: Path) -> None:
    """A graph of two outputs, with a threshold for the second, gives both."""
    write_model(tmp_path / "m.onnx", knowing(), KNOWING)
    model = read_model(tmp_path / "m.onnx")
    assert model.metadata == KNOWING
    windows = np.random.default_rng(0).standard_normal((5, WINDOW)).astype(np.float32)
    found = model.score(windows)
    assert found.familiarity is not None
    np.testing.assert_allclose(found.score, windows.mean(axis=1), atol=1e-6)
    np.testing.assert_allclose(found.familiarity, windows.max(axis=1), atol=1e-6)


@pytest.mark.parametrize("metadata", [None, ...])
def test_without_a_threshold_for_familiarity(metadata: object, tmp_path: Path) -> None:
    """Files that do not speak of familiarity, as all did once, and files that say there is none, are the same."""
    model = read_model(save(tmp_path / "m.onnx", model_of(), changed(familiarity=metadata)))
    assert model.metadata == METADATA
    assert model.score(np.zeros((1, WINDOW), dtype=np.float32)).familiarity is None


def test_same_model_same_bytes(tmp_path: Path) -> None:
    """The order of keys in the metadata does not change the file."""
    turned = dataclasses.replace(METADATA, training=dict(reversed(METADATA.training.items())))
    assert write_model(tmp_path / "a", model_of(), METADATA) == write_model(tmp_path / "b", model_of(), turned)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"threshold": 0, "calibration": Calibration(1, 0)}, id="whole numbers"),
        pytest.param({"sample_rate": 8_000, "window_samples": 480_000, "hop_samples": 48_000}, id="longest window"),
        pytest.param({"window_samples": 1_600, "hop_samples": 160}, id="shortest window and hop"),
        pytest.param({"name": "声" * 100}, id="longest name"),
        pytest.param({"familiarity": 0.125}, id="familiarity"),
        pytest.param({"familiarity": -1e12}, id="familiarity below all"),
        pytest.param(
            {"training": {"nested": {"deep": [{}]}}, "recipe": {}, "versions": {}, "operating_points": {}},
            id="free parts",
        ),
    ],
)
def test_metadata_round_trip(changes: dict[str, Any]) -> None:
    """Metadata at the edge of what is allowed comes back from JSON as it was."""
    metadata = dataclasses.replace(METADATA, **changes)
    assert ModelMetadata.from_json(metadata.to_json()) == metadata


def test_a_copy_travels_without_its_session(tmp_path: Path) -> None:
    """A pickled copy of a model in use scores the same."""
    write_model(tmp_path / "m.onnx", model_of(), METADATA)
    model = read_model(tmp_path / "m.onnx")
    windows = np.ones((2, WINDOW), dtype=np.float32)
    before = model.score(windows).score
    copy = pickle.loads(pickle.dumps(model))  # noqa: S301 - our own
    assert "_session" not in vars(copy)
    np.testing.assert_array_equal(copy.score(windows).score, before)


def test_names_of_shipped_models() -> None:
    """The names stand for files of this package, a path for itself, even one that looks like a name."""
    shipped = modelfile.SHIPPED_DIRECTORY
    assert [resolve_model(name) for name in modelfile.SHIPPED] == [
        shipped / name for name in ("default.onnx", "svm.onnx", "cnn.onnx")
    ]
    assert resolve_model("./svm") == Path("svm")
    assert resolve_model(Path("models/x.onnx")) == Path("models/x.onnx")


def test_nothing_is_written_where_it_fails(tmp_path: Path) -> None:
    """A number that JSON does not have, or a missing directory, leaves no file behind."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_model(tmp_path / "m.onnx", model_of(), dataclasses.replace(METADATA, training={"loss": float("nan")}))
    with pytest.raises(OutputError, match="cannot be written"):
        write_model(tmp_path / "nowhere" / "m.onnx", model_of(), METADATA)
    assert list(tmp_path.iterdir()) == []


# --- files that are no model -----------------------------------------------------------------------------------


class Payload:
    """Unpickled, it would leave a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., None], tuple[Path, int]]:
        """Name the function that unpickling would call."""
        return os.mkdir, (self.mark, 0o700)


def write_keras(path: Path) -> None:
    """Write the container of a .keras file."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")


FOREIGN: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda _: None, r"no such model file; .* default, svm, cnn"),
    "directory": (Path.mkdir, "is a directory, not a model file"),
    "pipe": (os.mkfifo, "is no regular file"),
    "empty": (Path.touch, r"is empty \(0 bytes\)"),
    "text": (lambda p: p.write_text("not a model\n" * 100), "is not an ONNX model"),
    "pickle": (lambda p: p.write_bytes(pickle.dumps(Payload(p.parent / "mark"))), "is a Python pickle"),
    "joblib": (lambda p: joblib.dump({"a": np.zeros(9)}, p), "is a Python pickle"),
    "compressed joblib": (lambda p: joblib.dump(np.zeros(9), p, compress=3), "is not an ONNX model"),
    "keras": (write_keras, r"is a zip archive \(\.keras"),
    "hdf5": (lambda p: p.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(99)), "is an HDF5 file"),
    # Unknown fields 15 (a varint) and 15 (eight bytes) first: still the same ONNX model to a protobuf reader.
    "polyglot": (
        lambda p: p.write_bytes(b"\x78\x01\x79\x00ORTM\0\0\0" + save(p, model_of()).read_bytes()),
        "onnxruntime's own format",
    ),
    "zeros": (lambda p: p.write_bytes(bytes(1000)), "is not an ONNX model"),
    "no graph": (lambda p: p.write_bytes(onnx.ModelProto(ir_version=8).SerializeToString()), "has no graph"),
    "without metadata": (lambda p: p.write_bytes(model_of().SerializeToString()), "without our metadata"),
}


@pytest.mark.usefixtures("no_session")
@pytest.mark.parametrize("kind", FOREIGN)
def test_what_is_no_model_of_ours(kind: str, tmp_path: Path) -> None:
    """Each is refused in one line that names the file and what it is, and nothing in it runs."""
    make, expected = FOREIGN[kind]
    path = tmp_path / "thing.onnx"
    make(path)
    with pytest.raises(ModelFileError, match=expected) as caught:
        read_model(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value).splitlines()) == 1
    assert not (tmp_path / "mark").exists()


def test_name_too_long() -> None:
    """What the operating system refuses to look up is a model file error too."""
    with pytest.raises(ModelFileError, match="cannot be read"):
        read_model("x" * 5000)


def test_polyglot_is_one(tmp_path: Path) -> None:
    """The file that the test above refuses is, without its four magic bytes, a model like any other."""
    path = save(tmp_path / "m.onnx", model_of())
    path.write_bytes(b"\x78\x01\x79\x00ORTN\0\0\0" + path.read_bytes())
    assert read_model(path).metadata == METADATA


def test_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is too large is not read, and not written either."""
    path = save(tmp_path / "m.onnx", model_of())
    monkeypatch.setattr(modelfile, "MAX_BYTES", path.stat().st_size - 1)
    with pytest.raises(ModelFileError, match=r"m\.onnx: \d+ bytes are more than"):
        read_model(path)
    with pytest.raises(ModelFileError, match=r"new\.onnx: .* more than"):
        write_model(tmp_path / "new.onnx", model_of(), METADATA)
    assert not (tmp_path / "new.onnx").exists()
    monkeypatch.setattr(modelfile, "MAX_BYTES", path.stat().st_size)
    assert read_model(path).metadata == METADATA


# --- metadata --------------------------------------------------------------------------------------------------


def changed(**changes: Any) -> str:
    """Return the metadata with some keys changed, and those set to ``...`` removed."""
    values = json.loads(METADATA.to_json()) | changes
    return json.dumps({key: value for key, value in values.items() if value is not ...})


METADATA_TEXTS = {
    "nothing": ("", "expected JSON"),
    "no JSON": ("{'name': 1}", "expected JSON"),
    "nested without end": ("[" * 100_000, "expected JSON"),
    "list": ("[]", "expected a JSON object"),
    "null": ("null", "expected a JSON object"),
    "former format": (changed(format=1), "format 1, this version reads format 2"),
    "next format": (changed(format=3), "format 3, this version reads format 2"),
    "format as text": (changed(format="2"), "format '2'"),
    "format a float": (changed(format=2.0), "format is a float"),
    "no format": (changed(format=...), "format None"),
    "missing key": (changed(margin=..., name=...), "missing keys: margin, name"),
    "unknown key": (changed(command="rm"), "unknown keys: command"),
    "name a number": (changed(name=5), "name is a int"),
    "name with an escape sequence": (changed(name="\x1b[2J"), "name must be 1 to 100 printable"),
    "name empty": (changed(name=""), "name must be 1 to 100 printable"),
    "name too long": (changed(name="x" * 101), "name must be 1 to 100 printable"),
    "backend null": (changed(backend=None), "backend is a NoneType"),
    "rate a float": (changed(sample_rate=16_000.0), "sample_rate is a float"),
    "rate true": (changed(sample_rate=True), "sample_rate is a bool"),
    "rate zero": (changed(sample_rate=0), "sample_rate must be"),
    "rate absurd": (changed(sample_rate=10**400), "sample_rate must be"),
    "window zero": (changed(window_samples=0), "window_samples must be"),
    "window negative": (changed(window_samples=-1600), "window_samples must be"),
    "window too long": (changed(window_samples=960_001, hop_samples=960_001), "window_samples must be"),
    "window absurd": (changed(window_samples=10**400), "window_samples must be"),
    "hop zero": (changed(hop_samples=0), "hop_samples must be"),
    "hop beyond the window": (changed(hop_samples=WINDOW + 1), "hop_samples must be"),
    "threshold text": (changed(threshold="0"), "threshold is a str"),
    "threshold NaN": (changed(threshold=float("nan")), "must be finite"),
    "threshold infinite": (changed(threshold=float("-inf")), "must be finite"),
    "threshold absurd": (changed(threshold=10**400), "must be finite"),
    "margin negative": (changed(margin=-0.1), "margin must not be negative"),
    "calibration a list": (changed(calibration=[1, 0]), "calibration is a list"),
    "scale missing": (changed(calibration={"offset": 0}), "calibration must hold scale and offset"),
    "scale and more": (changed(calibration={"scale": 1, "offset": 0, "bias": 1}), "calibration must hold"),
    "scale text": (changed(calibration={"scale": "1", "offset": 0}), r"calibration\.scale is a str"),
    "scale true": (changed(calibration={"scale": True, "offset": 0}), r"calibration\.scale is a bool"),
    "scale NaN": (changed(calibration={"scale": float("nan"), "offset": 0}), "must be finite"),
    "scale negative": (changed(calibration={"scale": -1.0, "offset": 0}), r"calibration\.scale must be positive"),
    "scale zero": (changed(calibration={"scale": 0.0, "offset": 0}), r"calibration\.scale must be positive"),
    "scale absurd": (changed(calibration={"scale": 1e300, "offset": 0}), "must be finite"),
    "operating points a list": (changed(operating_points=[0]), "operating_points is a list"),
    "operating point a text": (changed(operating_points={"x": "0"}), r"operating_points\.x is a str"),
    "operating point true": (changed(operating_points={"x": True}), r"operating_points\.x is a bool"),
    "operating point NaN": (changed(operating_points={"x": float("nan")}), "must be finite"),
    "operating point absurd": (changed(operating_points={"x": 10**400}), "must be finite"),
    "familiarity a text": (changed(familiarity="0.1"), "familiarity is a str"),
    "familiarity true": (changed(familiarity=True), "familiarity is a bool"),
    "familiarity a list": (changed(familiarity=[0.1]), "familiarity is a list"),
    "familiarity NaN": (changed(familiarity=float("nan")), "must be finite"),
    "familiarity infinite": (changed(familiarity=float("-inf")), "must be finite"),
    "familiarity absurd": (changed(familiarity=10**400), "must be finite"),
    "recipe a list": (changed(recipe=[]), "recipe is a list"),
    "versions a list": (changed(versions=[]), "versions is a list"),
    "version a number": (changed(versions={"numpy": 2}), r"versions\.numpy is a int"),
}


@pytest.mark.usefixtures("no_session")
@pytest.mark.parametrize("kind", METADATA_TEXTS)
def test_metadata_that_does_not_fit(kind: str, tmp_path: Path) -> None:
    """Each is refused in words that say what is wrong with which file."""
    text, expected = METADATA_TEXTS[kind]
    path = save(tmp_path / "m.onnx", model_of(), text)
    with pytest.raises(ModelFileError, match=expected) as caught:
        read_model(path)
    assert str(caught.value).startswith(f"{path}: its metadata cannot be used: ")


# --- graphs ----------------------------------------------------------------------------------------------------


def values(name: str, shape: list[Any] | None, kind: int = TensorProto.FLOAT) -> list[Any]:
    """Return the declaration of one input or output."""
    return [helper.make_tensor_value_info(name, kind, shape)]


def constant(attribute: str, value: Any) -> Any:
    """Return a node of one constant."""
    return helper.make_node("Constant", [], ["c"], **{attribute: value})


def sparse(values: Any) -> Any:
    """Return a sparse tensor."""
    return helper.make_sparse_tensor(values, helper.make_tensor("i", TensorProto.INT64, [1], [0]), [4])


MEAN = helper.make_node("ReduceMean", ["signal"], ["score"], axes=[1], keepdims=0)
ALWAYS = helper.make_tensor("always", TensorProto.BOOL, [], [True])
INNER = helper.make_graph([constant("value", external())], "inner", [], values("c", [1]))
BRANCH = helper.make_graph([helper.make_node("Identity", ["signal"], ["x"])], "branch", [], values("x", ["n", WINDOW]))
DOUBLE = helper.make_function(
    "own", "Double", ["x"], ["y"], [helper.make_node("Add", ["x", "x"], ["y"])], [helper.make_opsetid("", 17)]
)

GRAPHS: dict[str, tuple[Any, str]] = {
    "another input": (model_of(inputs=values("audio", ["n", WINDOW])), r"expected one input 'signal' .* found 'audio'"),
    "two inputs": (
        model_of(inputs=[*values("signal", ["n", WINDOW]), *values("more", ["n"])]),
        "expected one input 'signal' .* found 'signal' .*; 'more'",
    ),
    "no input": (model_of(inputs=[]), "expected one input 'signal' .* found none"),
    "another window": (model_of(inputs=values("signal", ["n", 800])), r"float \(n, 1600\), found .*\(n, 800\)"),
    "one window only": (model_of(inputs=values("signal", [1, WINDOW])), r"found 'signal' of float \(1, 1600\)"),
    "three axes": (model_of(inputs=values("signal", ["n", 1, WINDOW])), r"found 'signal' of float \(n, 1, 1600\)"),
    "double input": (model_of(inputs=values("signal", ["n", WINDOW], TensorProto.DOUBLE)), "'signal' of double"),
    "type unknown": (model_of(inputs=values("signal", ["n", WINDOW], 99)), "'signal' of unknown"),
    "no score": (
        model_of(outputs=values("logit", ["n"])),
        r"expected one output 'score' of float \(n\), or a second one 'familiarity' of float \(n\), found 'logit'",
    ),
    "score and more": (model_of(outputs=[*values("score", ["n"]), *values("x", ["n"])]), "expected one output"),
    "familiarity alone": (model_of(outputs=values("familiarity", ["n"])), "expected one output .* found 'familiarity'"),
    "familiarity first": (
        model_of(outputs=[*values("familiarity", ["n"]), *values("score", ["n"])]),
        "expected one output .* found 'familiarity' .*; 'score'",
    ),
    "familiarity twice": (
        model_of(outputs=[*values("score", ["n"]), *values("familiarity", ["n"]) * 2]),
        "expected one output",
    ),
    "familiarity as matrix": (
        model_of(outputs=[*values("score", ["n"]), *values("familiarity", ["n", 1])]),
        r"expected one output .* found .*; 'familiarity' of float \(n, 1\)",
    ),
    "familiarity without a threshold": (knowing(), "has the output 'familiarity', but its metadata have no threshold"),
    "score as matrix": (model_of(outputs=values("score", ["n", 1])), r"found 'score' of float \(n, 1\)"),
    "score without shape": (model_of(outputs=values("score", None)), r"found 'score' of float \(\)"),
    "score as text": (model_of(outputs=values("score", ["n"], TensorProto.STRING)), "found 'score' of string"),
    "sequence of scores": (
        model_of(outputs=[helper.make_tensor_sequence_value_info("score", TensorProto.FLOAT, ["n"])]),
        "expected one output",
    ),
    "external initializer": (model_of(initializers=(external(),)), "external data"),
    "external without location": (
        model_of(initializers=(tensor(data_location=TensorProto.EXTERNAL),)),
        "external data",
    ),
    "external constant": (model_of(constant("value", external()), MEAN), "external data"),
    "external in a list": (
        model_of(helper.make_node("Constant", [], ["c"], several=[tensor(), external()]), MEAN),
        "external data",
    ),
    "external sparse constant": (model_of(constant("sparse_value", sparse(external())), MEAN), "external data"),
    "external in a subgraph": (
        model_of(helper.make_node("SequenceMap", ["signal"], ["s"], body=INNER), MEAN),
        "graph within its operator SequenceMap",
    ),
    "loop": (
        model_of(helper.make_node("Loop", ["", "always"], [], body=INNER), MEAN, initializers=(ALWAYS,)),
        "graph within its operator Loop",
    ),
    "branch": (
        model_of(
            helper.make_node("If", ["always"], ["x"], then_branch=BRANCH, else_branch=BRANCH),
            MEAN,
            initializers=(ALWAYS,),
        ),
        "graph within its operator If",
    ),
    "list of graphs": (model_of(helper.make_node("Scan", ["signal"], ["s"], several=[INNER]), MEAN), "operator Scan"),
    "custom domain": (
        model_of(helper.make_node("Shell", ["signal"], ["score"], domain="com.evil")),
        "operator com.evil:Shell",
    ),
    "contrib domain": (
        model_of(helper.make_node("Inverse", ["signal"], ["score"], domain="com.microsoft")),
        "operator com.microsoft:Inverse",
    ),
    "functions": (model_of(MEAN, functions=[DOUBLE]), "functions"),
}


def _sparse_initializer() -> Any:
    model = model_of(MEAN)
    model.graph.sparse_initializer.append(sparse(external()))
    return model


def _training_info() -> Any:
    model = model_of(MEAN)
    model.training_info.add().initialization.CopyFrom(INNER)
    return model


GRAPHS["external sparse initializer"] = (_sparse_initializer(), "external data")
GRAPHS["training steps"] = (_training_info(), "training steps")


@pytest.mark.usefixtures("no_session")
@pytest.mark.parametrize("kind", GRAPHS)
def test_graphs_that_are_refused(kind: str, tmp_path: Path) -> None:
    """Each is refused in one line before onnxruntime sees it."""
    model, expected = GRAPHS[kind]
    path = save(tmp_path / "m.onnx", model)
    with pytest.raises(ModelFileError, match=expected) as caught:
        read_model(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        pytest.param(model_of(helper.make_node("Telepathy", ["signal"], ["score"])), "refuses", id="no such operator"),
        pytest.param(
            model_of(helper.make_node("ReduceMean", ["signal"], ["score"], axes=[1], keepdims=1)),
            r"gave no 1 finite scores but shape \(1, 1\)",
            id="scores of another rank than declared",
        ),
        pytest.param(
            model_of(
                helper.make_node("Log", ["signal"], ["x"]),
                helper.make_node("ReduceMean", ["x"], ["score"], axes=[1], keepdims=0),
            ),
            "gave no 1 finite scores",
            id="minus infinity",
        ),
        pytest.param(
            model_of(
                helper.make_node("ReduceMean", ["signal"], ["mean"], axes=[1], keepdims=0),
                helper.make_node("Concat", ["mean", "mean"], ["score"], axis=0),
            ),
            r"gave no 1 finite scores but shape \(2,\)",
            id="two scores a window",
        ),
        pytest.param(
            model_of(
                helper.make_node("Gather", ["signal", "far"], ["score"], axis=1),
                initializers=(helper.make_tensor("far", TensorProto.INT64, [], [WINDOW]),),
            ),
            "cannot be run|refuses",
            id="beyond the window",
        ),
    ],
)
def test_graphs_that_do_not_run(model: Any, expected: str, tmp_path: Path) -> None:
    """What only onnxruntime can find out is found when the detector is loaded."""
    path = save(tmp_path / "m.onnx", model)
    with pytest.raises(ModelFileError, match=expected) as caught:
        Detector.load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value).splitlines()) == 1


def test_a_threshold_for_a_familiarity_that_is_not_there(tmp_path: Path) -> None:
    """Metadata that speak of familiarity belong to a graph that gives it."""
    path = save(tmp_path / "m.onnx", model_of(), KNOWING.to_json())
    with pytest.raises(ModelFileError, match="metadata have a threshold for 'familiarity', but it has no such output"):
        read_model(path)


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        pytest.param(
            [helper.make_node("ReduceMax", ["signal"], ["familiarity"], axes=[1], keepdims=1)],
            r"gave no 1 finite familiarities but shape \(1, 1\)",
            id="of another rank",
        ),
        pytest.param(
            [
                helper.make_node("Log", ["signal"], ["x"]),
                helper.make_node("ReduceMax", ["x"], ["familiarity"], axes=[1], keepdims=0),
            ],
            "gave no 1 finite familiarities",
            id="minus infinity",
        ),
        pytest.param([], "refuses|cannot be run", id="never computed"),
    ],
)
def test_familiarities_that_do_not_fit(nodes: list[Any], expected: str, tmp_path: Path) -> None:
    """The second output is looked at as closely as the first."""
    nodes = nodes or [helper.make_node("ReduceMax", ["signal"], ["other"], axes=[1], keepdims=0)]
    path = save(tmp_path / "m.onnx", knowing(*nodes), KNOWING.to_json())
    with pytest.raises(ModelFileError, match=expected) as caught:
        Detector.load(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_windows_of_another_length(tmp_path: Path) -> None:
    """Windows that the model does not take are an error of this package, not one of onnxruntime."""
    model = read_model(save(tmp_path / "m.onnx", model_of()))
    with pytest.raises(ModelFileError, match="cannot be run"):
        model.score(np.zeros((1, WINDOW - 1), dtype=np.float32))


def test_error_without_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception of onnxruntime that says nothing is named by its type."""

    def fail(_content: bytes) -> None:
        raise MemoryError

    monkeypatch.setattr(runtime, "open_session", fail)
    with pytest.raises(ModelFileError, match=r"refuses this model \(MemoryError\)"):
        Detector.load(save(tmp_path / "m.onnx", model_of()))


# --- damage ----------------------------------------------------------------------------------------------------


def test_truncated(tiny_model: Path, tmp_path: Path) -> None:
    """A model file that was cut off anywhere is refused."""
    content = tiny_model.read_bytes()
    rng = np.random.default_rng(0)
    cuts = {*range(1, 40), *rng.integers(40, len(content), 60).tolist(), *(len(content) - n for n in range(1, 40))}
    path = tmp_path / "cut.onnx"
    for cut in cuts:
        path.write_bytes(content[:cut])
        with pytest.raises(ModelFileError, match=r"cut\.onnx: "):
            Detector.load(path)


def structure(content: bytes) -> list[int]:
    """Return the places in a model file that are not the numbers of a large tensor."""
    graph = onnx.ModelProto.FromString(content).graph
    blobs = [t.raw_data for t in graph.initializer]
    # Lists of floats are written one by one, each behind the number of its field.
    blobs += [b"".join(b"\x3d" + np.float32(f).tobytes() for f in a.floats) for n in graph.node for a in n.attribute]
    places = np.ones(len(content), dtype=bool)
    for blob in blobs:
        if len(blob) > 64:
            at = content.index(blob)
            places[at : at + len(blob)] = False
    return np.flatnonzero(places).tolist()


@pytest.mark.parametrize("size", ["small", "tiny_model"])
def test_random_damage(size: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """One to three wrong bytes where they hurt: the model still gives finite scores, or a model file error."""
    whole = save(tmp_path / "m.onnx", model_of()) if size == "small" else request.getfixturevalue("tiny_model")
    content = whole.read_bytes()
    places = structure(content)
    path = tmp_path / "damaged.onnx"
    refused = []
    for seed in range(300 if size == "small" else 100):
        rng = np.random.default_rng(seed)
        damaged = bytearray(content)
        for place in rng.choice(places, rng.integers(1, 4)):
            damaged[place] ^= rng.integers(1, 256)
        path.write_bytes(damaged)
        try:
            detector = Detector.load(path)
            windows = np.zeros((2, detector.metadata.window_samples), dtype=np.float32)
            found = detector._file.score(windows)
            assert np.isfinite(found.score).all(), seed
            assert found.familiarity is None or np.isfinite(found.familiarity).all(), seed
        except ModelFileError as error:
            refused.append(str(error))
    assert len(refused) > 10
    assert all(message.startswith(f"{path}: ") and len(message.splitlines()) == 1 for message in refused)


# --- hostile files ---------------------------------------------------------------------------------------------

_WATCHED = """
import sys
from deepfake_audio import runtime
from deepfake_audio.detector import Detector
from deepfake_audio.errors import ModelFileError

good, *hostile = sys.argv[1:]
Detector.load(good)  # imports what it needs
events, sessions = [], []
open_session = runtime.open_session
runtime.open_session = lambda content: sessions.append(len(content)) or open_session(content)
harmless = {"object.__getattr__", "sys._getframe", "object.__setattr__"}
sys.addaudithook(lambda event, args: event in harmless or events.append((event, str(args[0]) if args else "")))
for path in sys.argv[1:]:
    events.append(("load", path))
    try:
        Detector.load(path)
    except ModelFileError as error:
        events.append(("refused", str(error)))
seen = events[:]
for event in seen:
    print(*event, sep="\\t")
print("sessions", len(sessions), sep="\\t")
"""


def test_hostile_models_open_and_run_nothing(tmp_path: Path) -> None:
    """Under an audit hook, reading models opens no file but the model; hostile ones never get to onnxruntime."""
    (tmp_path / "secret.bin").write_bytes(np.ones(1, dtype="<f4").tobytes())
    foreign = external()
    foreign.external_data[0].value = "/etc/hostname"
    paths = [
        save(tmp_path / "good.onnx", model_of()),
        save(tmp_path / "beside.onnx", model_of(initializers=(external(),))),
        save(tmp_path / "absolute.onnx", model_of(constant("value", foreign), MEAN)),
        tmp_path / "pickle.onnx",
        save(tmp_path / "metadata.onnx", model_of(), "__import__('os').mkdir('mark')"),
    ]
    paths[3].write_bytes(pickle.dumps(Payload(tmp_path / "mark")))
    done = subprocess.run(
        [sys.executable, "-c", _WATCHED, *map(str, paths)], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    events = [tuple(line.split("\t")) for line in done.stdout.splitlines()]
    assert [what for event, what in events if event == "open"] == [str(path) for path in paths]
    assert {event for event, _ in events} == {"load", "open", "refused", "sessions"}
    assert [what.split(":")[0] for event, what in events if event == "refused"] == [str(path) for path in paths[1:]]
    assert events[-1] == ("sessions", "1")
    assert not (tmp_path / "mark").exists()
