"""
The backends: ways to learn the difference between genuine and spoofed features.

A backend is a module with

- ``DEFAULT_SPEC``     the ``FeatureSpec`` that it learns from unless told otherwise
- ``WINDOW_SECONDS``   the length of the windows it scores
- ``COPIES``           how many augmented versions of each training window it wants
- ``EXTRA``            the extra that training with it needs, or None
- ``train(...)``       which learns and returns a ``Trained``

Training may use any library; what it returns is ONNX, and the native function that the ONNX must equal.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from deepfake_audio.errors import MissingExtraError
from deepfake_audio.features import IR_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from deepfake_audio.features import FeatureSpec

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Examples:
    """
    Features to learn from.

    Attributes:
        features: Shape (n_copies, n_windows, *feature_shape); the first copy is the signal as it is, the others are
            augmented.
        is_bonafide: Shape (n_windows,).
        weights: How much each window counts, with a mean of 1, shape (n_windows,).
    """

    features: FloatArray
    is_bonafide: npt.NDArray[np.bool_]
    weights: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Options:
    """
    Choices of a training run that backends share; each takes what concerns it.

    Attributes:
        seed: Where all randomness starts.
        epochs: How often to go through the data, at most.
        log_dir: Where to write logs for TensorBoard.
        report: Called with the step, the number of steps and a word on how it goes.
    """

    seed: int = 0
    epochs: int = 50
    log_dir: Path | None = None
    report: Callable[[int, int, str], None] = field(default=lambda _step, _steps, _note: None)


@dataclass(frozen=True)
class Trained:
    """
    What a backend returns.

    Attributes:
        onnx: A model from ``features`` of shape (n, *feature_shape) to ``score`` of shape (n,), higher = more genuine.
        score: The native function that ``onnx`` must equal.
        facts: What happened, for the run record: plain values that JSON can hold.
    """

    onnx: Any
    score: Callable[[FloatArray], npt.NDArray[np.float64]]
    facts: dict[str, Any]


class Backend(Protocol):
    """What the module of a backend provides."""

    __name__: str
    DEFAULT_SPEC: FeatureSpec
    WINDOW_SECONDS: float
    COPIES: int
    EXTRA: str | None

    def train(self, training: Examples, validation: Examples, options: Options) -> Trained:
        """Learn from ``training``; ``validation`` shares no group with it and may be used to stop early."""


def finished(model: Any, output: str) -> Any:
    """
    Give a converter's model the form that ``Trained`` wants, the same for the same weights.

    Converters name graphs, nodes and tensors after counters, random numbers and Python objects; here tensors are
    numbered as they appear, and everything that is not needed to run is dropped.

    Args:
        model: The ONNX model, changed in place.
        output: The tensor of shape (n,) that becomes the output ``score``.
    """
    import onnx

    graph = model.graph
    names = {i.name: i.name for i in graph.input} | {output: "score", "": ""}
    for tensor in graph.initializer:
        names.setdefault(tensor.name, f"constant_{len(names)}")
        tensor.name = names[tensor.name]
    for node in graph.node:
        node.name, node.doc_string = "", ""
        node.input[:] = [names.setdefault(name, f"tensor_{len(names)}") for name in node.input]
        node.output[:] = [names.setdefault(name, f"tensor_{len(names)}") for name in node.output]
    for value in graph.input:
        value.type.tensor_type.shape.dim[0].dim_param = "n"
    for repeated in (graph.output, graph.value_info, model.metadata_props):
        del repeated[:]
    graph.output.append(onnx.helper.make_tensor_value_info("score", onnx.TensorProto.FLOAT, ["n"]))
    graph.name, graph.doc_string, model.doc_string = "classifier", "", ""
    model.ir_version = IR_VERSION
    return model


# What an extra brings, by the names under which it is imported.
_EXTRA_MODULES = {"cnn": ("keras", "tensorflow", "tf2onnx")}


def require_extra(backend: Backend) -> None:
    """
    Find out before any work whether training with a backend is possible.

    Raises:
        MissingExtraError: If its extra is not installed.
    """
    if backend.EXTRA and not all(find_spec(module) for module in _EXTRA_MODULES[backend.EXTRA]):
        raise MissingExtraError(backend.EXTRA, f"training with the backend {backend.__name__.rpartition('.')[2]}")


BACKENDS = {"svm": "deepfake_audio.backends.svm", "cnn": "deepfake_audio.backends.cnn"}


def load_backend(name: str) -> Backend:
    """Import the module of a backend."""
    module: Any = import_module(BACKENDS[name])
    return module  # type: ignore[no-any-return]
