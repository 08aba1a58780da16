"""
From trained classifiers to one graph, from waveform to score and, where a classifier knows it, familiarity.

    signal -> front end of a member -> its classifiers -> their mean, weighted ─┐
    signal -> front end of another  -> its classifiers -> their mean, weighted ─┴-> sum: the score

Familiarity is the plain mean over the members that have one, of the plain mean over their classifiers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from deepfake_audio import features
from deepfake_audio.errors import TrainingError
from deepfake_audio.modelfile import FAMILIARITY, INPUT, OUTPUT, WindowScores

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deepfake_audio.backends import Trained
    from deepfake_audio.features import FeatureSpec

FloatArray = npt.NDArray[np.float32]

# How far the outputs of the written graph may be from those of the trained model.
_TOLERANCE = 1e-3
# Windows per run of a model, which bounds memory.
_BATCH = 8


@dataclass(frozen=True)
class Branch:
    """
    A front end, the classifiers that share it, and how much the mean of their scores counts.

    Attributes:
        specs: The front end.
        classifiers: ONNX models from ``features`` to ``score``, or to ``score`` and ``familiarity``.
        weight: Factor of their mean.
    """

    specs: Sequence[FeatureSpec]
    classifiers: Sequence[Any]
    weight: float = 1.0


def assembled(branches: Sequence[Branch], window: int) -> Any:
    """
    Join branches into one ONNX model.

    Args:
        branches: At least one.
        window: Length of a window in samples.

    Returns:
        A checked model from ``signal`` of shape (n, window) to ``score`` of shape (n,), and to ``familiarity`` of
        shape (n,) if any classifier has one.
    """
    import onnx

    opsets: dict[str, int] = {}
    nodes: list[Any] = []
    constants: list[Any] = []

    def add(model: Any, prefix: str, source: str) -> list[str]:
        """Append a model's graph that reads ``source``; return the names of its outputs."""
        model = onnx.compose.add_prefix(model, prefix)
        (own,) = [value.name for value in model.graph.input]
        for node in model.graph.node:
            node.input[:] = [source if name == own else name for name in node.input]
        nodes.extend(model.graph.node)
        constants.extend(model.graph.initializer)
        # A converter may declare less than it was asked for; what it emitted is valid for what it was asked for.
        for opset in model.opset_import:
            opsets[opset.domain] = max(opset.version, opsets.get(opset.domain, 0))
        return [str(value.name) for value in model.graph.output]

    sums, means = [], []
    for number, branch in enumerate(branches):
        prefix = f"member{number}/"
        (front,) = add(features.frontend(branch.specs, window), f"{prefix}frontend/", INPUT)
        made = [add(classifier, f"{prefix}classifier{i}/", front) for i, classifier in enumerate(branch.classifiers)]
        scores = [score for score, *_ in made]
        factor = np.array(branch.weight / len(scores), dtype=np.float32)
        constants.append(onnx.numpy_helper.from_array(factor, f"{prefix}weight"))
        nodes.append(onnx.helper.make_node("Sum", scores, [f"{prefix}sum"]))
        nodes.append(onnx.helper.make_node("Mul", [f"{prefix}sum", f"{prefix}weight"], [f"{prefix}score"]))
        sums.append(f"{prefix}score")
        if familiar := [name for _, *others in made for name in others]:
            nodes.append(onnx.helper.make_node("Mean", familiar, [f"{prefix}familiarity"]))
            means.append(f"{prefix}familiarity")
    nodes.append(onnx.helper.make_node("Sum", sums, [OUTPUT]))
    if means:
        nodes.append(onnx.helper.make_node("Mean", means, [FAMILIARITY]))
    outputs = [OUTPUT, FAMILIARITY] if means else [OUTPUT]
    kind = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        nodes,
        "deepfake-audio",
        [onnx.helper.make_tensor_value_info(INPUT, kind, ["n", window])],
        [onnx.helper.make_tensor_value_info(name, kind, ["n"]) for name in outputs],
        constants,
    )
    joined = onnx.helper.make_model(
        graph,
        opset_imports=[onnx.helper.make_opsetid(domain, version) for domain, version in sorted(opsets.items())],
        ir_version=features.IR_VERSION,
        producer_name="deepfake-audio",
    )
    onnx.checker.check_model(joined, full_check=True)
    return joined


def runner(model: Any) -> Callable[[FloatArray], WindowScores]:
    """Return a function from windows, shape (n, window), to what a graph makes of them."""
    from deepfake_audio.runtime import open_session

    session = open_session(model.SerializeToString())

    def run(windows: FloatArray) -> WindowScores:
        batches = (windows[at : at + _BATCH] for at in range(0, len(windows), _BATCH))
        outputs = zip(*(session.run(None, {INPUT: batch}) for batch in batches), strict=True)
        return WindowScores(*(np.concatenate(output) for output in outputs))

    return run


def require_equal(model: Any, trained: Trained, specs: Sequence[FeatureSpec], windows: FloatArray) -> float:
    """
    Return the largest difference between an assembled graph of one classifier and the native model.

    Raises:
        TrainingError: If it is larger than a thousandth, or if only one of them tells of familiarity.
    """
    extracted, found = features.extract(windows, specs), runner(model)(windows)
    differences = [trained.score(extracted) - found.score]
    if trained.familiarity is not None and found.familiarity is not None:
        differences.append(trained.familiarity(extracted) - found.familiarity)
    elif trained.familiarity is not None or found.familiarity is not None:
        raise TrainingError("only one of the ONNX model and the trained one tells of familiarity; nothing was written")
    difference = float(np.abs(differences).max())
    if not difference <= _TOLERANCE:
        raise TrainingError(
            f"the ONNX model differs from the trained one by {difference:.2g} on {len(windows)} windows "
            f"(at most {_TOLERANCE:g} is allowed); nothing was written"
        )
    return difference
