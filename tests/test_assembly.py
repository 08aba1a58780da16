"""One graph out of front ends and classifiers: its score is the weighted sum that it is said to be."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from signals import noise

from deepfake_audio.assembly import Branch, assembled, require_equal, runner
from deepfake_audio.backends import Trained
from deepfake_audio.errors import TrainingError
from deepfake_audio.features import OPSET, FeatureSpec, extract, feature_shape

if TYPE_CHECKING:
    import numpy.typing as npt

    from deepfake_audio.modelfile import WindowScores

WINDOW = 4_000
MEAN = FeatureSpec("lfcc", n_bands=8, n_coefficients=4, statistics=("mean",))
RHYTHM = FeatureSpec("modulation", n_fft=256, window_length=256, hop_length=64, n_bands=4)
WINDOWS = noise(WINDOW * 11 / 16_000).reshape(11, WINDOW)


def weights_for(specs: tuple[FeatureSpec, ...], seed: int) -> npt.NDArray[np.float32]:
    """Return numbers by which a classifier multiplies features."""
    return np.random.default_rng(seed).normal(size=feature_shape(specs, WINDOW)).astype(np.float32)


def linear(weights: npt.NDArray[np.float32], opset: int = OPSET) -> Any:
    """Return a classifier whose score is a weighted sum of the features."""
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["features", "weights"], ["score"])],
        "classifier",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", len(weights)])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["n"])],
        [numpy_helper.from_array(weights, "weights")],
    )
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", opset)])


def knowing(weights: npt.NDArray[np.float32]) -> Any:
    """Return the same classifier, whose familiarity is the sine of its score."""
    model = linear(weights)
    model.graph.node.append(helper.make_node("Sin", ["score"], ["familiarity"]))
    model.graph.output.append(helper.make_tensor_value_info("familiarity", TensorProto.FLOAT, ["n"]))
    return model


def outputs_of(*branches: Branch) -> WindowScores:
    """Return what the graph of some branches makes of the windows."""
    return runner(assembled(branches, WINDOW))(WINDOWS)


def test_one_classifier() -> None:
    """The score is the classifier's on the features of the front end, and there is no familiarity."""
    weights = weights_for((MEAN,), 0)
    found = outputs_of(Branch((MEAN,), [linear(weights)]))
    np.testing.assert_allclose(found.score, extract(WINDOWS, MEAN) @ weights, atol=1e-4)
    assert found.familiarity is None


def test_the_mean_of_classifiers_is_weighted() -> None:
    """Classifiers of a branch are averaged, branches are summed up by their weights; each has its own front end."""
    of_mean = [weights_for((MEAN,), seed) for seed in range(3)]
    of_both = weights_for((RHYTHM, MEAN), 3)
    branches = [
        Branch((MEAN,), [linear(weights) for weights in of_mean], 0.25),
        Branch((RHYTHM, MEAN), [linear(of_both)], 2.0),
    ]
    expected = 0.25 * extract(WINDOWS, MEAN) @ np.mean(of_mean, axis=0) + 2 * extract(WINDOWS, (RHYTHM, MEAN)) @ of_both
    np.testing.assert_allclose(outputs_of(*branches).score, expected, atol=1e-3)


def test_familiarity_is_a_plain_mean() -> None:
    """It is averaged over the classifiers of each branch and over the branches, whatever their weights."""
    weights = [weights_for((MEAN,), seed) for seed in range(3)]
    sines = [np.sin(extract(WINDOWS, MEAN) @ one) for one in weights]
    one, two, three = (knowing(each) for each in weights)
    found = outputs_of(Branch((MEAN,), [one, two], 0.25), Branch((MEAN,), [three], 2.0))
    assert found.familiarity is not None
    np.testing.assert_allclose(found.familiarity, ((sines[0] + sines[1]) / 2 + sines[2]) / 2, atol=1e-3)


def test_familiarity_is_of_those_that_know() -> None:
    """Classifiers and branches without a familiarity have no part in it, and keep theirs in the score."""
    weights = [weights_for((MEAN,), seed) for seed in range(3)]
    knows, *others = knowing(weights[0]), linear(weights[1]), linear(weights[2])
    found = outputs_of(Branch((MEAN,), [others[0]]), Branch((MEAN,), [knows, others[1]]))
    scores = [extract(WINDOWS, MEAN) @ one for one in weights]
    assert found.familiarity is not None
    np.testing.assert_allclose(found.familiarity, np.sin(scores[0]), atol=1e-3)
    np.testing.assert_allclose(found.score, scores[1] + (scores[0] + scores[2]) / 2, atol=1e-3)


def test_the_graph_is_plain() -> None:
    """One input, one output, unique names, and the sources are left as they were."""
    classifier = linear(weights_for((MEAN,), 0))
    before = classifier.SerializeToString()
    model = assembled([Branch((MEAN,), [classifier, classifier]), Branch((MEAN,), [classifier])], WINDOW)
    assert [value.name for value in (*model.graph.input, *model.graph.output)] == ["signal", "score"]
    known = assembled([Branch((MEAN,), [knowing(weights_for((MEAN,), 0))])], WINDOW)
    assert [value.name for value in (*known.graph.input, *known.graph.output)] == ["signal", "score", "familiarity"]
    outputs = [name for node in model.graph.node for name in node.output]
    assert len(outputs) == len(set(outputs))
    assert classifier.SerializeToString() == before


def test_the_highest_opset_is_declared() -> None:
    """Where parts declare versions of their own, the graph takes the highest of each domain."""
    model = assembled([Branch((MEAN,), [linear(weights_for((MEAN,), 0), opset=13)])], WINDOW)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", OPSET)]
    scaled = linear(weights_for((MEAN,), 0))
    scaled.graph.node.insert(0, helper.make_node("Scaler", ["features"], ["x"], domain="ai.onnx.ml", scale=[2.0]))
    scaled.graph.node[1].input[0] = "x"
    scaled.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    model = assembled([Branch((MEAN,), [scaled]), Branch((MEAN,), [linear(weights_for((MEAN,), 1))])], WINDOW)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", OPSET), ("ai.onnx.ml", 3)]


def test_what_is_no_graph_is_refused() -> None:
    """A classifier that does not fit its front end is found by the check of ONNX."""
    with pytest.raises(onnx.shape_inference.InferenceError):
        assembled([Branch((MEAN,), [linear(weights_for((RHYTHM,), 0))])], WINDOW)


def trained(off_by: float = 0.0) -> Trained:
    """Return a classifier whose native scores differ from those of its graph."""
    weights = weights_for((MEAN,), 0)
    return Trained(linear(weights), lambda features: (features @ weights).astype(np.float64) + off_by, {})


def knowing_trained(off_by: float = 0.0) -> Trained:
    """Return a classifier whose scores are those of its graph, and whose familiarity differs."""
    weights = weights_for((MEAN,), 0)
    return Trained(
        knowing(weights),
        lambda features: (features @ weights).astype(np.float64),
        {},
        lambda features: np.sin(features @ weights).astype(np.float64) + off_by,
    )


@pytest.mark.parametrize("off_by", [0.0, 5e-4, -5e-4])
def test_graphs_that_are_equal_enough(off_by: float) -> None:
    """The largest difference is returned."""
    one = trained(off_by)
    graph = assembled([Branch((MEAN,), [one.onnx])], WINDOW)
    assert require_equal(graph, one, (MEAN,), WINDOWS) == pytest.approx(abs(off_by), abs=1e-4)


@pytest.mark.parametrize(
    ("off_by", "message"), [(0.01, "by 0.01 on 11 windows"), (-3.0, "by 3 on"), (float("nan"), "by nan on")]
)
def test_graphs_that_differ(off_by: float, message: str) -> None:
    """A difference of more than a thousandth, or one that is no number, is refused."""
    one = trained(off_by)
    graph = assembled([Branch((MEAN,), [one.onnx])], WINDOW)
    with pytest.raises(TrainingError, match=f"differs from the trained one {message}.*nothing was written"):
        require_equal(graph, one, (MEAN,), WINDOWS)


@pytest.mark.parametrize("off_by", [0.0, 5e-4])
def test_familiarities_that_are_equal_enough(off_by: float) -> None:
    """The largest difference of both outputs is returned."""
    one = knowing_trained(off_by)
    graph = assembled([Branch((MEAN,), [one.onnx])], WINDOW)
    assert require_equal(graph, one, (MEAN,), WINDOWS) == pytest.approx(off_by, abs=1e-4)


@pytest.mark.parametrize(("off_by", "message"), [(0.01, r"by 0\.01 on"), (float("nan"), "by nan on")])
def test_familiarities_that_differ(off_by: float, message: str) -> None:
    """A familiarity that is another in the graph is refused as a score would be."""
    one = knowing_trained(off_by)
    graph = assembled([Branch((MEAN,), [one.onnx])], WINDOW)
    with pytest.raises(TrainingError, match=message):
        require_equal(graph, one, (MEAN,), WINDOWS)


def test_familiarity_on_one_side_only() -> None:
    """A graph that tells of familiarity is not the model of one that does not, nor the other way round."""
    knows, not_ = knowing_trained(), trained()
    for graph_of, native in ((knows, not_), (not_, knows)):
        graph = assembled([Branch((MEAN,), [graph_of.onnx])], WINDOW)
        with pytest.raises(TrainingError, match=r"only one of .* tells of familiarity; nothing was written"):
            require_equal(graph, native, (MEAN,), WINDOWS)


def test_one_wrong_window_among_many_is_found() -> None:
    """The comparison goes over all windows."""
    one = trained()

    def wrong(features: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        scores = one.score(features)
        scores[9] += 1.0
        return scores

    graph = assembled([Branch((MEAN,), [one.onnx])], WINDOW)
    with pytest.raises(TrainingError, match="by 1 on"):
        require_equal(graph, dataclasses.replace(one, score=wrong), (MEAN,), WINDOWS)
