"""Models for the tests of inspection and drawing: small, of every make that training gives, and fitted to nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from deepfake_audio.assembly import Branch, assembled
from deepfake_audio.backends import Examples, Run, svm
from deepfake_audio.calibration import Calibration
from deepfake_audio.features import OPSET, FeatureSpec, feature_shape
from deepfake_audio.modelfile import ModelMetadata

WINDOW = 8_000
N_LANDMARKS = 7
# A picture of 20 bands by 41 frames.
MEL = FeatureSpec("mel", n_bands=20, n_fft=256, window_length=256, hop_length=200)
# 48, 8 and 44 numbers. The first two share a spectrum, all share the level.
KINDS = (
    FeatureSpec("mfcc", n_bands=24, n_coefficients=12, deltas=1, statistics=("mean", "std")),
    FeatureSpec("lfcc", n_bands=16, n_coefficients=8, statistics=("mean",)),
    FeatureSpec("modulation", n_fft=256, window_length=256, hop_length=64, n_bands=4),
)


def made_model(nodes: list[Any], constants: dict[str, Any], inputs: dict[str, list[object]], opset: int = OPSET) -> Any:
    """Return a model from one input to ``score``; constants keep the type that they have in numpy."""
    (name, shape), *_ = inputs.items()
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["n"])],
        [numpy_helper.from_array(np.asarray(values), name) for name, values in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def network(seed: int = 0) -> Any:
    """
    Return a network on pictures of `MEL`, as a converter writes them, but with its operators in a random order.

    The first convolution goes on to the second and to a pooling of its power, whose flattening takes the shape apart
    and puts it together again; the second goes to a pooling of its mean; both poolings go to a layer of 5, that to 1.
    """
    rng = np.random.default_rng(seed)
    weights = {"w1": (4, 1, 3, 3), "b1": (4,), "w2": (8, 4, 3, 3), "w3": (16, 5), "b3": (5,), "w4": (5, 1)}
    constants: dict[str, Any] = {name: rng.normal(size=shape).astype(np.float32) for name, shape in weights.items()}
    constants |= {
        "scale": np.float32(0.1),
        "one": np.array([1]),
        "order": np.array([0, 1, 2, 3], dtype=np.int32),
        "zero": np.array([0], dtype=np.int32),
        "rest": np.array([-1], dtype=np.int32),
        "one32": np.array([1], dtype=np.int32),
    }
    nodes = [
        ("Unsqueeze", "features one", "picture", {}),
        ("Mul", "picture scale", "scaled", {}),
        ("Conv", "scaled w1 b1", "conv1", {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
        ("Relu", "conv1", "relu1", {}),
        ("MaxPool", "relu1", "max1", {"kernel_shape": [2, 2], "strides": [2, 2]}),
        ("Conv", "max1 w2", "conv2", {"pads": [1, 1, 1, 1]}),
        ("Mul", "conv1 conv1", "power1", {}),
        ("AveragePool", "power1", "mean1", {"kernel_shape": [5, 21], "strides": [5, 21]}),
        ("Shape", "mean1", "shape", {}),
        ("Cast", "shape", "shape32", {"to": TensorProto.INT32}),
        ("Gather", "shape32 order", "ordered", {}),
        ("Slice", "ordered zero one32 zero", "first", {}),
        ("Concat", "first rest", "wanted32", {"axis": 0}),
        ("Cast", "wanted32", "wanted", {"to": TensorProto.INT64}),
        ("Reshape", "mean1 wanted", "flat1", {}),
        ("GlobalAveragePool", "conv2", "mean2", {}),
        ("Flatten", "mean2", "flat2", {}),
        ("Concat", "flat1 flat2", "both", {"axis": 1}),
        ("Gemm", "both w3 b3", "dense1", {}),
        ("Relu", "dense1", "relu3", {}),
        ("MatMul", "relu3 w4", "dense2", {}),
        ("Squeeze", "dense2 one", "score", {}),
    ]
    made = [helper.make_node(kind, reads.split(), [gives], **more) for kind, reads, gives, more in nodes]
    return made_model(_shuffled(made, rng), constants, {"features": ["n", *feature_shape(MEL, WINDOW)]})


def _shuffled(nodes: list[Any], rng: np.random.Generator) -> list[Any]:
    """Return nodes in a random order in which each still follows those that it reads."""
    made = {name for node in nodes for name in node.output}
    found: list[Any] = []
    while len(found) < len(nodes):
        there = {name for node in found for name in node.output}
        ready = [n for n in nodes if n not in found and all(name in there or name not in made for name in n.input)]
        found.append(ready[rng.integers(len(ready))])
    return found


def kernel_machine(kernel: str = "rbf", kinds: tuple[FeatureSpec, ...] = KINDS) -> Any:
    """Return what the backend `svm` learns from noise, of 5 components and a few landmarks; `rbf` knows familiarity."""
    rng = np.random.default_rng(0)
    sizes = tuple(feature_shape(kind, WINDOW)[0] for kind in kinds)
    rows = np.arange(40)
    examples = Examples(
        rng.normal(size=(1, len(rows), sum(sizes))).astype(np.float32), rows, rows % 2 == 0, np.ones(len(rows)), sizes
    )
    options = svm.Options(kernel=kernel, n_components=5, n_landmarks=N_LANDMARKS)
    return svm.train(examples, None, options, Run()).onnx


def metadata_of(*members: tuple[FeatureSpec, ...], **changes: Any) -> ModelMetadata:
    """Return metadata whose recipe has members with these front ends, changed."""
    own: dict[str, Any] = {
        "name": "made",
        "backend": "svm",
        "sample_rate": 16_000,
        "window_samples": WINDOW,
        "hop_samples": WINDOW // 2,
        "calibration": Calibration(2.0, -0.5),
        "threshold": 0.25,
        "margin": 0.5,
        "operating_points": {"balanced": 0.0},
        "recipe": {"members": [{"features": [spec.to_dict() for spec in specs]} for specs in members]},
        "training": {},
        "versions": {"numpy": "2.0"},
    }
    return ModelMetadata(**{**own, **changes})


def fusion() -> tuple[Any, ModelMetadata]:
    """Return a kernel machine and three networks of one make joined, and their metadata."""
    branches = [Branch(KINDS, [kernel_machine()], 0.75), Branch((MEL,), [network(seed) for seed in range(3)], 0.25)]
    return assembled(branches, WINDOW), metadata_of(KINDS, (MEL,), familiarity=0.1)
