"""What is told of a model file: shapes and costs by hand and by ONNX, stages, and files that are not what they seem."""

from __future__ import annotations

import dataclasses
import time
import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from graphs import KINDS, MEL, WINDOW, fusion, kernel_machine, made_model, metadata_of, network
from onnx import TensorProto, helper, numpy_helper

from deepfake_audio import features, runtime
from deepfake_audio.assembly import Branch, assembled
from deepfake_audio.errors import ModelFileError
from deepfake_audio.features import FeatureSpec, feature_shape
from deepfake_audio.inspection import (
    Inspection,
    Operator,
    Part,
    Stage,
    alike,
    core,
    described,
    framed,
    inspect_model,
    operators,
    stages,
    summed,
)
from deepfake_audio.modelfile import SHIPPED, ModelMetadata, read_model, write_model

if TYPE_CHECKING:
    from pathlib import Path

VECTOR = FeatureSpec("lfcc", n_bands=8, n_coefficients=4, statistics=("mean",))


def inspected(path: Path, model: Any, metadata: ModelMetadata, *, measure: bool = False) -> Inspection:
    """Write a model, read it back and look into it."""
    write_model(path / "m.onnx", model, metadata)
    return inspect_model(read_model(path / "m.onnx"), measure=measure)


def only(kind: str, found: list[Operator]) -> Operator:
    """Return the only operator of a kind."""
    (operator,) = (each for each in found if each.kind == kind)
    return operator


def traced(nodes: list[Any], constants: dict[str, Any], shape: list[int]) -> list[Operator]:
    """Return the operators of a graph that reads `signal`, of a shape for one window."""
    return operators(made_model(nodes, constants, {"signal": ["n", *shape[1:]]}), shape)


def weights(*shape: int, dtype: type = np.float32) -> Any:
    """Return some weights."""
    return np.ones(shape, dtype=dtype)


# --- operators -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "attributes", "shape", "constants", "output", "macs"),
    [
        # 6 channels of (9 - 3) / 2 + 1 = 4 rows and 5 columns, each number of 2 * 3 * 1 products.
        pytest.param(
            "Conv", {"strides": [2, 1]}, [1, 2, 9, 5], [weights(6, 2, 3, 1)], (1, 6, 4, 5), 120 * 6, id="convolution"
        ),
        # Of each of 2 groups, 3 channels see 2.
        pytest.param(
            "Conv", {"group": 2}, [1, 4, 8], [weights(6, 2, 3), weights(6)], (1, 6, 6), 36 * 6, id="groups and bias"
        ),
        pytest.param("MatMul", {}, [1, 7, 5], [weights(5, 3)], (1, 7, 3), 7 * 3 * 5, id="product"),
        pytest.param("MatMul", {}, [1, 4, 7, 5], [weights(4, 5, 3)], (1, 4, 7, 3), 84 * 5, id="products"),
        pytest.param("Gemm", {}, [1, 5], [weights(5, 3), weights(3)], (1, 3), 15, id="dense"),
        pytest.param("Gemm", {"transB": 1}, [1, 5], [weights(3, 5)], (1, 3), 15, id="dense, weights turned"),
        pytest.param("Gemm", {"transA": 1}, [1, 5], [weights(1, 3)], (5, 3), 15, id="dense, input turned"),
        pytest.param("Relu", {}, [1, 5], [], (1, 5), 0, id="number by number"),
        pytest.param("Add", {}, [1, 5], [weights(5)], (1, 5), 0, id="sum"),
    ],
)
def test_costs_by_hand(
    kind: str, attributes: dict[str, Any], shape: list[int], constants: list[Any], output: tuple[int, ...], macs: int
) -> None:
    """Shapes, parameters and multiply-accumulates of an operator are those that its definition gives."""
    named = {f"w{number}": values for number, values in enumerate(constants)}
    found = traced([helper.make_node(kind, ["signal", *named], ["out"], **attributes)], named, shape)
    (operator,) = found
    assert operator.output_shapes == (output,)
    assert operator.macs == macs
    assert operator.n_parameters == sum(values.size for values in constants)
    assert operator.input_shapes == (tuple(shape), *(values.shape for values in constants))
    assert not operator.is_constant


def test_costs_that_are_not_worked_out() -> None:
    """Other sums of products are not passed off as free."""
    node = helper.make_node("ConvTranspose", ["signal", "w"], ["out"])
    (operator,) = traced([node], {"w": weights(2, 3, 3)}, [1, 2, 5])
    assert (operator.output_shapes, operator.macs, operator.n_parameters) == (((1, 3, 7),), None, 18)


def test_what_does_not_depend_on_the_signal_costs_nothing() -> None:
    """A product of constants is computed once; what reads it, and the signal, costs what it does at each window."""
    nodes = [
        helper.make_node("MatMul", ["a", "b"], ["ab"]),
        helper.make_node("MatMul", ["signal", "ab"], ["out"]),
        helper.make_node("Shape", ["out"], ["shape"]),
        helper.make_node("Cast", ["shape"], ["lengths"], to=TensorProto.FLOAT),
    ]
    first, second, shape, cast = traced(nodes, {"a": weights(5, 2), "b": weights(2, 3)}, [1, 5])
    assert (first.macs, first.is_constant, first.n_parameters) == (0, True, 16)
    assert (second.macs, second.is_constant, second.n_parameters) == (15, False, 0)
    assert shape.is_constant
    assert cast.is_constant


def test_parameters_are_floating_point_numbers_counted_once() -> None:
    """Each constant counts where it is read first; whole numbers are places, not parameters, but have bytes."""
    nodes = [
        helper.make_node("Add", ["signal", "half"], ["a"]),
        helper.make_node("Add", ["a", "half"], ["b"]),
        helper.make_node("Gather", ["b", "places"], ["c"], axis=1),
        helper.make_node("Constant", [], ["d"], value=numpy_helper.from_array(weights(1, 2), "v")),
        helper.make_node("Add", ["c", "d"], ["out"]),
    ]
    constants = {"half": weights(5, dtype=np.float16), "places": np.array([0, 1])}
    model = made_model(nodes, constants, {"signal": ["n", 5]})
    found = operators(model, (1, 5))
    assert [operator.n_parameters for operator in found] == [5, 0, 0, 2, 0]
    half, places = (tensor.ByteSize() for tensor in model.graph.initializer)
    assert [operator.n_bytes for operator in found] == [half, 0, places, nodes[3].attribute[0].t.ByteSize(), 0]


@pytest.mark.parametrize("name", SHIPPED)
def test_shapes_are_those_of_onnx(name: str) -> None:
    """In the shipped models every shape is known, and is what ONNX infers from the whole graph for one window."""
    model = read_model(name)
    proto = onnx.ModelProto.FromString(model._content)
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    for value in proto.graph.output:
        value.type.tensor_type.shape.dim[0].dim_value = 1
    whole = onnx.shape_inference.infer_shapes(proto, strict_mode=True, data_prop=True).graph
    expected = {
        value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
        for value in (*whole.value_info, *whole.output)
    }
    found = operators(proto, (1, model.metadata.window_samples))
    assert len(found) == len(proto.graph.node)
    for operator in found:
        for tensor, shape in zip(operator.outputs, operator.output_shapes, strict=True):
            assert shape is not None
            assert None not in shape
            if 0 not in expected[tensor]:  # where the whole graph leaves an axis open, each operator by itself does not
                assert shape == expected[tensor], tensor


def test_a_shape_that_is_computed_is_followed() -> None:
    """A converter's flattening, which takes a shape apart and puts it together, leaves no axis unknown."""
    found = operators(network(), (1, 20, 41))
    assert only("Reshape", found).output_shapes == ((1, 8),)
    assert all(None not in (shape or (None,)) for operator in found for shape in operator.output_shapes)


def test_part_of_a_shape() -> None:
    """The first and last axis of `Shape`, where they are given, are heeded."""
    nodes = [
        helper.make_node("Shape", ["signal"], ["shape"], start=1, end=-1),
        helper.make_node("Reshape", ["signal", "shape"], ["out"]),
    ]
    assert only("Reshape", traced(nodes, {}, [1, 6, 1])).output_shapes == ((6,),)


# --- graphs that are not ours ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "node",
    [
        pytest.param(helper.make_node("NoSuchOperator", ["signal"], ["out"]), id="unknown operator"),
        pytest.param(helper.make_node("Conv", ["signal", "missing"], ["out"]), id="unknown input"),
        pytest.param(helper.make_node("Conv", ["signal"], ["out"]), id="missing input"),
        pytest.param(helper.make_node("MatMul", ["signal", "w"], ["out"]), id="shapes that do not fit"),
        pytest.param(helper.make_node("Relu", ["signal"], ["out"], domain="ai.onnx.ml"), id="domain of no version"),
        pytest.param(helper.make_node("Shape", [], ["out"]), id="nothing to read"),
        pytest.param(helper.make_node("Squeeze", ["signal", "w"], ["out"]), id="no axes"),
    ],
)
def test_what_cannot_be_told_is_unknown(node: Any) -> None:
    """An operator that ONNX cannot make sense of has no shape, and what follows it goes on."""
    first, second = traced([node, helper.make_node("Relu", ["out"], ["last"])], {"w": weights(3, 3)}, [1, 5])
    assert first.output_shapes == (None,)
    assert second.output_shapes == (None,)
    assert first.macs == (None if node.op_type in ("Conv", "MatMul") else 0)


def test_an_operator_without_outputs_is_no_reason_to_fail() -> None:
    """There are graphs that no session would open; they are told of all the same."""
    nodes = [
        helper.make_node("Shape", ["signal"], []),
        helper.make_node("Concat", [], []),
        helper.make_node("A", [], []),
    ]
    assert [operator.name for operator in traced(nodes, {}, [1, 5])] == ["", "", ""]


@pytest.mark.parametrize("length", [17, 60, 100_000])
def test_shapes_of_many_axes_are_not_followed(length: int) -> None:
    """A shape of more axes than any detector has is unknown, whether it comes as a constant or as an attribute."""
    many = np.ones(length, dtype=np.int64)
    nodes = [helper.make_node("Expand", ["signal", "many"], ["out"]), helper.make_node("Relu", ["out"], ["last"])]
    assert [operator.output_shapes for operator in traced(nodes, {"many": many}, [1, 5])] == [(None,), (None,)]
    node = helper.make_node("Unsqueeze", ["signal"], ["out"], axes=list(range(length)))
    model = made_model([node], {}, {"signal": ["n", 5]}, opset=11)
    assert operators(model, (1, 5))[0].output_shapes == (None,)


def test_a_shape_that_doubles_at_each_step_is_not_followed() -> None:
    """Forty operators could ask for a tensor of 2 ** 40 axes; following them takes no time."""
    nodes = [helper.make_node("Shape", ["signal"], ["s0"])]
    nodes += [helper.make_node("Concat", [f"s{n}", f"s{n}"], [f"s{n + 1}"], axis=0) for n in range(40)]
    nodes.append(helper.make_node("Expand", ["signal", "s40"], ["out"]))
    found = traced(nodes, {}, [1, 5])
    assert found[-1].output_shapes == (None,)
    assert found[5].output_shapes == ((64,),)


def test_lengths_that_no_tensor_has_are_not_followed() -> None:
    """Products of absurd lengths are numbers of hundreds of digits: such shapes are unknown."""
    node = helper.make_node("MatMul", ["signal", "w"], ["out"])
    model = made_model([node], {"w": weights(5, 3)}, {"signal": ["n", 5]})
    model.graph.initializer[0].dims[:] = [5, 1 << 62]
    (operator,) = operators(model, (1, 5))
    assert operator.output_shapes == (None,)
    assert operator.macs is None
    model.graph.initializer[0].dims[:] = [1 << 62] * 1_000_000
    assert operators(model, (1, 5))[0].n_parameters == 0


def test_constants_of_too_few_bytes() -> None:
    """A shape whose numbers are not there is unknown."""
    model = made_model([helper.make_node("Reshape", ["signal", "s"], ["out"])], {"s": [1, 5]}, {"signal": ["n", 5]})
    model.graph.initializer[0].raw_data = b"\0"
    (operator,) = operators(model, (1, 5))
    assert None in (operator.output_shapes[0] or (None,))


# --- stages ----------------------------------------------------------------------------------------------------


def told(found: list[Stage], part: Part) -> list[tuple[Any, ...]]:
    """Return the stages of a part: kind, name, words, output, parameters, and costs."""
    return [(s.kind, s.name, s.words, s.output, s.n_parameters, s.macs) for s in found if s.part == part]


def stages_of(model: Any, *specs: tuple[FeatureSpec, ...]) -> list[Stage]:
    """Return the stages of a model, whose recipe has members with these front ends."""
    return stages(operators(model, (1, WINDOW)), dict(enumerate(specs, start=1)), WINDOW)


def test_stages_of_a_network() -> None:
    """Each convolution, pooling and product begins a stage; shapes, parameters and costs are worked out by hand."""
    found = stages_of(assembled([Branch((MEL,), [network()])], WINDOW), (MEL,))
    assert told(found, Part("classifier", 1, 1)) == [
        ("input", "input", "scale", (1, 20, 41), 1, 0),
        # 4 x 10 x 21 numbers of 9 products; then half of that, rounded down.
        ("convolution", "convolution 1", "4 filters of 3x3, stride 2x2, ReLU, max pooling 2x2", (4, 5, 10), 40, 7_560),
        ("pooling", "pooling 1", "square, average pooling 5x21", (8,), 0, 0),
        ("convolution", "convolution 2", "8 filters of 3x3", (8, 5, 10), 288, 400 * 36),
        ("pooling", "pooling 2", "global average pooling", (8,), 0, 0),
        ("concatenation", "concatenation", "", (16,), 0, 0),
        ("dense", "dense 1", "16 to 5, ReLU", (5,), 85, 80),
        ("dense", "dense 2", "5 to 1", (), 5, 5),
    ]
    names = {stage.name: stage for stage in found}
    reads = {name: [found[place].name for place in stage.reads] for name, stage in names.items()}
    assert reads["mel"] == []
    assert reads["input"] == ["mel"]
    assert reads["pooling 1"] == reads["convolution 2"] == ["convolution 1"]
    assert reads["concatenation"] == ["pooling 1", "pooling 2"]
    assert reads["score"] == ["dense 2"]


def test_stages_do_not_depend_on_the_order_of_operators() -> None:
    """Networks of one make are one make, however a converter ordered their operators."""
    model = assembled([Branch((MEL,), [network(seed) for seed in range(6)])], WINDOW)
    orders = {tuple(node.op_type for node in network(seed).graph.node) for seed in range(6)}
    assert len(orders) > 1
    found = stages_of(model, (MEL,))
    first, *others = (Part("classifier", 1, number) for number in range(1, 7))
    assert all(told(found, other) == told(found, first) for other in others)
    assert alike(found)[first] == [first, *others]
    assert [stage.words for stage in found if stage.part == Part("score")] == ["mean of 6 classifiers"]


@pytest.mark.parametrize(("kernel", "extra"), [("rbf", "; familiarity"), ("linear", "")])
def test_stages_of_a_kernel_machine(kernel: str, extra: str) -> None:
    """Each kernel is a stage under the name of what it reads, and one more joins them."""
    found = stages_of(assembled([Branch(KINDS, [kernel_machine(kernel)])], WINDOW), KINDS)
    assert [stage.name for stage in found] == [
        "shared", "mfcc", "lfcc", "modulation", "together",
        "kernel of mfcc", "kernel of lfcc", "kernel of modulation", "machine", "score",
    ]  # fmt: skip
    radial = {"rbf": "radial", "linear": "linear"}[kernel]
    own = told(found, Part("classifier", 1, 1))
    assert own[1][2:4] == (f"{radial} kernel; 8 features, 5 components, 7 landmarks", (7,))
    # Mean, factor, axes and landmarks of 8 features; limits, and what the radial kernel needs beside.
    beside = {"rbf": 7 + 2, "linear": 0}[kernel]
    assert own[1][4:] == (8 + 8 + 8 * 5 + 7 * 5 + 2 + beside, 8 * 5 + 5 * 7)
    assert own[-1][:4] == ("machine", "machine", f"mean of 3 kernels; weighted sum over landmarks{extra}", ())
    if kernel == "linear":  # a weight of each landmark and an offset
        assert own[-1][4:] == (8, 7)


def test_stages_of_one_kernel() -> None:
    """One kind of features is no set of them: it shares nothing, and there is nothing to put end to end."""
    found = stages_of(assembled([Branch((VECTOR,), [kernel_machine(kinds=(VECTOR,))])], WINDOW), (VECTOR,))
    assert [stage.name for stage in found] == ["lfcc", "kernel of lfcc", "machine", "score"]
    assert found[2].words == "the kernel; weighted sum over landmarks; familiarity"
    assert found[3].words == "of one classifier"


@pytest.mark.parametrize("kind", features.KINDS)
@pytest.mark.parametrize("level", [True, False])
def test_front_end_of_every_kind(kind: str, level: bool) -> None:  # noqa: FBT001
    """Every kind of features is found in the graph beside another one, with its shape and all its operators."""
    own: dict[str, Any] = {"n_bands": 8, "normalise_level": level}
    own |= {"cepstrum": {"n_coefficients": 16}, "mfcc": {"n_coefficients": 6}, "lfcc": {"n_coefficients": 6}}.get(
        kind, {}
    )
    if kind not in features.VECTORS:
        own["statistics"] = ("mean", "p25", "crest")
    specs = (VECTOR, FeatureSpec(kind, **own))  # type: ignore[arg-type]
    found = stages_of(assembled([Branch(specs, [kernel_machine(kinds=specs)])], WINDOW), specs)
    names = [stage.name for stage in found if stage.kind == "features"]
    assert names == (["lfcc 1", "lfcc 2"] if kind == "lfcc" else ["lfcc", kind])
    assert [stage.output for stage in found if stage.kind == "features"] == [feature_shape(s, WINDOW) for s in specs]


def test_kinds_that_are_made_of_one_another_are_not_told_apart() -> None:
    """A graph in which one kind of features is what another is computed from is none of ours: its front end is one."""
    model = assembled([Branch((VECTOR, VECTOR), [kernel_machine(kinds=(VECTOR, VECTOR))])], WINDOW)
    (last,) = (node for node in model.graph.node if node.output[0] == "member0/frontend/features")
    (joined,) = (node for node in model.graph.node if node.output[0] == last.input[0])
    first, second = joined.input
    at = next(place for place, node in enumerate(model.graph.node) if node.output[0] == second)
    model.graph.node.insert(at + 1, helper.make_node("Abs", [second], ["member0/frontend/more"]))
    joined.input[:] = ["member0/frontend/more", second]
    found = stages_of(model, (VECTOR, VECTOR))
    assert [(stage.kind, stage.name, stage.words) for stage in found if stage.part.kind == "front end"] == [
        ("features", "features", "")
    ]
    assert first != second


def test_a_front_end_that_no_window_has() -> None:
    """A recipe whose window is too short for its features is not believed."""
    kinds = (dataclasses.replace(KINDS[2], hop_length=WINDOW),)
    found = stages_of(assembled([Branch((VECTOR,), [kernel_machine(kinds=(VECTOR,))])], WINDOW), kinds)
    assert [stage.name for stage in found] == ["features", "kernel", "machine", "score"]


def test_a_convolution_of_unknown_weights() -> None:
    """Where nothing is known of the weights, no numbers are made up."""
    model = assembled([Branch((MEL,), [network()])], WINDOW)
    (convolution,) = (node for node in model.graph.node if node.input[1:2] == ["member0/classifier0/w2"])
    convolution.input[1] = "nowhere"
    (stage,) = (stage for stage in stages_of(model, (MEL,)) if stage.name == "convolution 2")
    assert (stage.words, stage.output, stage.macs) == ("filters, global average pooling", None, None)


@pytest.mark.parametrize("name", SHIPPED)
def test_stages_leave_nothing_out(name: str) -> None:
    """Of the shipped models, the stages have all operators, parameters and costs."""
    found = inspect_model(read_model(name))
    assert sum(stage.n_operators for stage in found.stages) == len(found.operators)
    assert sum(stage.n_parameters for stage in found.stages) == sum(found.n_parameters.values())
    assert sum(stage.macs or 0 for stage in found.stages) == found.macs_per_window
    assert found.n_uncounted == 0
    for number, stage in enumerate(found.stages):
        assert all(read < number for read in stage.reads)


def test_members_and_their_sum() -> None:
    """A fusion has two front ends; networks of one make stand together; the score is the sum of the members."""
    model, _ = fusion()
    found = stages_of(model, KINDS, (MEL,))
    groups = alike(found)
    assert {(part.kind, part.member): len(like) for part, like in groups.items()} == {
        ("front end", 1): 1,
        ("classifier", 1): 1,
        ("front end", 2): 1,
        ("classifier", 2): 3,
        ("score", None): 1,
    }
    assert found[-1].words == "weighted sum of 2 members"
    assert [found[place].name for place in found[-1].reads] == ["machine", "dense 2", "dense 2", "dense 2"]
    assert found[-1].n_parameters == 2


def test_a_graph_of_another_make(tmp_path: Path) -> None:
    """Where nothing tells what operators are for, they are one stage, with its cost, and no kind of features."""
    nodes = [
        helper.make_node("MatMul", ["signal", "w"], ["a"]),
        helper.make_node("ReduceMean", ["a"], ["score"], axes=[1], keepdims=0),
    ]
    model = made_model(nodes, {"w": weights(WINDOW, 2)}, {"signal": ["n", WINDOW]})
    found = inspected(tmp_path, model, metadata_of((VECTOR,)))
    (stage,) = found.stages
    assert (stage.part.kind, stage.kind, stage.output, stage.macs) == ("graph", "graph", (), 2 * WINDOW)
    assert found.kinds == ()
    assert found.macs_per_second == 2 * WINDOW * 16_000 // (WINDOW // 2)


# --- words -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (FeatureSpec("mel", n_bands=64), "mel spectrogram, 64 bands"),
        (FeatureSpec("mel", f_min=300, f_max=3400), "mel spectrogram, 64 bands, 300 to 3400 Hz"),
        (FeatureSpec("linear", n_fft=512), "power spectrogram, 257 bins"),
        (FeatureSpec("fine", n_fft=2048), "power spectrogram without its envelope, 1,025 bins"),
        (
            FeatureSpec("mfcc", n_bands=96, n_coefficients=60, deltas=2),
            "mel-frequency cepstrum, 60 coefficients of 96 bands, with first and second differences",
        ),
        (
            FeatureSpec("lfcc", normalise_level=False),
            "linear-frequency cepstrum, 20 coefficients of 64 bands, at the level of the recording",
        ),
        (FeatureSpec("cepstrum", n_coefficients=128), "cepstrum of all bins, 128 coefficients in 64 groups"),
        (FeatureSpec("flatness"), "flatness of 64 mel bands"),
        (FeatureSpec("phase"), "regularity of the phase, 4 measures of 64 bands"),
        (FeatureSpec("modulation"), "modulation spectrum of 64 bands"),
        (FeatureSpec("correlation", lag=3), "correlation of 64 bands, each with each 3 frames before"),
    ],
)
def test_words_for_a_kind_of_features(spec: FeatureSpec, words: str) -> None:
    """Every kind has words, with the numbers that make it."""
    assert described(spec) == words


def test_words_for_frames_and_statistics() -> None:
    """Lengths are given in samples and in milliseconds, statistics by their names."""
    spec = FeatureSpec("mel", sample_rate=8_000, f_max=4_000, n_fft=1024, window_length=100, hop_length=3)
    assert framed(spec) == "FFT 1,024, window 100 (12.5 ms), hop 3 (0.375 ms)"
    assert summed(spec) == ""
    assert summed(dataclasses.replace(spec, statistics=("mean", "p25", "texture7x13"))) == "mean, p25, texture7x13"


def test_all_kinds_have_words() -> None:
    """A kind that is added needs words."""
    assert set(stages.__globals__["_DESCRIPTIONS"]) == set(features.KINDS)


# --- the whole file --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_models(name: str) -> None:
    """Sizes add up to the file's, parameters to its floating-point numbers, and the recipe is believed."""
    model = read_model(name)
    found = inspect_model(model)
    assert sum(found.n_bytes.values()) == model.path.stat().st_size
    assert min(found.n_bytes.values()) > 0
    proto = onnx.ModelProto.FromString(model._content)
    arrays = [numpy_helper.to_array(tensor) for tensor in proto.graph.initializer]
    assert sum(found.n_parameters.values()) == sum(a.size for a in arrays if a.dtype.kind == "f")
    assert found.sha256 == model.sha256
    assert found.opsets["ai.onnx"] == 17
    (member,) = model.metadata.recipe["members"]
    assert [kind.spec.to_dict() for kind in found.kinds] == member["features"]
    assert {kind.member for kind in found.kinds} == {1}
    assert found.speed is None
    assert found.audio_seconds_per_second is None


def test_a_shipped_network_has_the_parameters_of_its_architecture() -> None:
    """The network was counted by Keras when it was trained; folding its normalisations takes some numbers away."""
    model = read_model("cnn")
    found = inspect_model(model)
    (member,) = model.metadata.training["members"]
    groups = [like for part, like in alike(found.stages).items() if part.kind == "classifier"]
    n_networks = sum(map(len, groups))
    assert len(groups) == 1
    assert 0.9 < found.n_parameters["classifier"] / n_networks / member["n_parameters"] <= 1


def test_nothing_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """No session is opened unless speed is asked for."""
    monkeypatch.setattr(runtime, "open_session", lambda *_: pytest.fail("a session was opened"))
    inspect_model(read_model("cnn"))


def test_speed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Speed is one over the median time of a window; as many seconds of audio as windows have hops."""
    monkeypatch.setattr(core, "_MEASURING_SECONDS", 0.01)
    model = assembled([Branch((VECTOR,), [kernel_machine(kinds=(VECTOR,))])], WINDOW)
    metadata = metadata_of((VECTOR,), familiarity=0.0)
    ticks = iter(np.cumsum([0, 1, 0, 4, 0, 2, 0, 2, 0, 100]).tolist())  # windows of 1, 4, 2, 2 and 100 seconds
    monkeypatch.setattr(time, "perf_counter", lambda: next(ticks))
    found = inspected(tmp_path, model, metadata, measure=True)
    assert found.speed is not None
    assert found.speed.windows_per_second == 0.5
    assert found.speed.n_windows == 5
    assert found.audio_seconds_per_second == 0.5 * 0.25  # hops of 4,000 samples at 16,000 Hz


def test_speed_of_what_cannot_run(tmp_path: Path) -> None:
    """A graph that onnxruntime refuses is an error where it was to be run, and told of where it was not."""
    model = made_model([helper.make_node("Einsum", ["signal", "w"], ["score"])], {}, {"signal": ["n", WINDOW]})
    assert inspected(tmp_path, model, metadata_of()).operators[0].kind == "Einsum"
    with pytest.raises(ModelFileError, match="onnxruntime refuses this model"):
        inspected(tmp_path, model, metadata_of(), measure=True)


# --- files that are not what they seem -------------------------------------------------------------------------


def small(path: Path, **changes: Any) -> Inspection:
    """Look into a small model with other metadata."""
    model = assembled([Branch((VECTOR,), [kernel_machine("linear", kinds=(VECTOR,))])], WINDOW)
    return inspected(path, model, metadata_of((VECTOR,), **changes))


def test_the_recipe_is_believed_where_the_graph_agrees(tmp_path: Path) -> None:
    """A recipe of other kinds than those of the graph is not passed on as its front end."""
    assert [kind.spec for kind in small(tmp_path).kinds] == [VECTOR]
    for specs in [(dataclasses.replace(VECTOR, n_coefficients=5),), (VECTOR, VECTOR), KINDS]:
        found = small(tmp_path, recipe=metadata_of(specs).recipe)
        assert found.kinds == ()
        assert [(s.kind, s.name, s.words) for s in found.stages][:1] == [("features", "features", "")]


def test_members_that_count_nothing_are_not_in_the_graph(tmp_path: Path) -> None:
    """The recipe names all members, the weights tell which the graph has."""
    recipe = metadata_of((MEL,), (VECTOR,)).recipe
    assert small(tmp_path, recipe=recipe).kinds == ()
    found = small(tmp_path, recipe=recipe, training={"weights": [0.0, 1.0]})
    assert [(kind.member, kind.spec) for kind in found.kinds] == [(1, VECTOR)]


@pytest.mark.parametrize(
    "members",
    [
        None,
        "text",
        7,
        [None],
        [{}],
        [{"features": 3}],
        [{"features": [3]}],
        [{"features": [{}]}],
        [{"features": [{"kind": "mel", "more": 1}]}],
        [{"features": [{"kind": ["mel"]}]}],
        [{"features": [{"kind": "mel", "n_fft": 10**15, "window_length": 400}]}],
        [{"features": [{"kind": "modulation", "hop_length": 10**300}]}],
        [{"features": [{"kind": "mel", "f_max": float("inf")}]}],
        [{"features": [{"kind": "mel", "f_min": float("nan")}]}],
        [{"features": [VECTOR.to_dict()] * 100_000}],
        [{"features": [VECTOR.to_dict()]}] * 100_000,
    ],
    ids=lambda members: str(members)[:60],
)
def test_recipes_that_are_none(members: Any, tmp_path: Path) -> None:
    """Whatever stands where the recipe should: it is no error, takes no time, and no front end is made up."""
    small(tmp_path)
    model = read_model(tmp_path / "m.onnx")
    for recipe in ({"members": members}, {}):
        metadata = dataclasses.replace(model.metadata, recipe=recipe)
        assert inspect_model(dataclasses.replace(model, metadata=metadata)).kinds == ()


def test_a_window_of_millions_of_frames(tmp_path: Path) -> None:
    """Shapes that would take all memory to work out are not worked out."""
    spec = FeatureSpec("modulation", sample_rate=384_000, n_fft=2, window_length=2, hop_length=1, n_bands=1)
    long = 60 * 384_000
    node = helper.make_node("ReduceMean", ["signal"], ["score"], axes=[1], keepdims=0)
    model = made_model([node], {}, {"signal": ["n", long]})
    metadata = metadata_of((spec,), sample_rate=384_000, window_samples=long, hop_samples=long)
    tracemalloc.start()
    found = inspected(tmp_path, model, metadata)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.kinds == ()
    assert most < 10e6


def test_too_many_operators(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph larger than any of ours is refused before anything is done with it."""
    monkeypatch.setattr(core, "MAX_OPERATORS", 10)
    with pytest.raises(ModelFileError, match=r"m\.onnx: has \d+ operators, .* \(10\)"):
        small(tmp_path)


def test_names_that_are_no_text(tmp_path: Path) -> None:
    """Names that are not UTF-8 are refused in one line."""
    node = helper.make_node("ReduceMean", ["signal"], ["score"], axes=[1], keepdims=0, name="NAME")
    write_model(tmp_path / "m.onnx", made_model([node], {}, {"signal": ["n", WINDOW]}), metadata_of())
    content = (tmp_path / "m.onnx").read_bytes()
    assert content.count(b"NAME") == 1
    (tmp_path / "m.onnx").write_bytes(content.replace(b"NAME", b"\xff\xfe\xfd\xfc"))
    with pytest.raises(ModelFileError, match=r"m\.onnx: .*no text"):
        inspect_model(read_model(tmp_path / "m.onnx"))
