"""
The backends: ways to learn the difference between genuine and spoofed features.

A backend is a module with

- ``DEFAULT_SPECS``    what it learns from unless told otherwise, one ``FeatureSpec`` or several
- ``PLAIN_SPEC``       the ``FeatureSpec`` that short texts such as ``lfcc,n_bands=40`` change
- ``WINDOW_SECONDS``   the length of the windows it scores
- ``COPIES``           how many augmented versions of each training window it wants
- ``REFIT``            whether one model of all data is fitted in the end; else those of the parts are kept
- ``EXTRA``            the extra that training with it needs, or None
- ``Options``          a frozen dataclass of its own choices
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
    Features to learn from, or to watch the learning with.

    Attributes:
        features: Of all windows of the data, shape (1 + n_copies, n_all, *feature_shape); the first copy is the signal
            as it is, the others are augmented. It may be larger than memory (mapped from a file).
        chosen: Which of the windows belong to these examples, shape (n_windows,).
        is_bonafide: Shape (n_windows,).
        weights: How much each window counts, with a mean of 1, shape (n_windows,).
        sizes: How many numbers of a vector each kind of features gave, in order; empty for pictures.
        non_speech: Features of windows in which nobody speaks, shape (n_others, *feature_shape), for backends that tell
            how familiar a window is; None where no such recordings were given.
    """

    features: FloatArray
    chosen: npt.NDArray[np.int64]
    is_bonafide: npt.NDArray[np.bool_]
    weights: npt.NDArray[np.float64]
    sizes: tuple[int, ...] = ()
    non_speech: FloatArray | None = None


@dataclass(frozen=True)
class Run:
    """
    What a run tells a backend beside the data.

    Attributes:
        seed: Where all randomness starts.
        log_dir: Where to write logs for TensorBoard.
        report: Called with the step, the number of steps and a word on how it goes.
    """

    seed: int = 0
    log_dir: Path | None = None
    report: Callable[[int, int, str], None] = field(default=lambda _step, _steps, _note: None)


@dataclass(frozen=True)
class Trained:
    """
    What a backend returns.

    Attributes:
        onnx: A model from ``features`` of shape (n, *feature_shape) to ``score`` of shape (n,), higher = more genuine,
            and, if there is a ``familiarity``, to that as its second output, of shape (n,) too.
        score: The native function that ``onnx`` must equal.
        facts: What happened, for the run record: plain values that JSON can hold.
        familiarity: The native function that tells how alike windows are to those that were learnt from, higher = more
            so; None where the backend does not know.
    """

    onnx: Any
    score: Callable[[FloatArray], npt.NDArray[np.float64]]
    facts: dict[str, Any]
    familiarity: Callable[[FloatArray], npt.NDArray[np.float64]] | None = None


class Backend(Protocol):
    """What the module of a backend provides."""

    __name__: str
    DEFAULT_SPECS: tuple[FeatureSpec, ...]
    PLAIN_SPEC: FeatureSpec
    WINDOW_SECONDS: float
    COPIES: int
    REFIT: bool
    EXTRA: str | None
    Options: Callable[..., Any]

    def train(self, examples: Examples, held_out: Examples | None, options: Any, run: Run) -> Trained:
        """Learn from ``examples``; ``held_out`` shares no group with them and is only watched."""


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
    for node in graph.node:
        node.name, node.doc_string = "", ""
        node.input[:] = [names.setdefault(name, f"tensor_{len(names)}") for name in node.input]
        node.output[:] = [names.setdefault(name, f"tensor_{len(names)}") for name in node.output]
    # In the order of their use: a converter may keep them in that of its own names.
    place = {name: number for number, name in enumerate(names)}
    used = sorted((t for t in graph.initializer if t.name in names), key=lambda tensor: place[tensor.name])
    constants = [onnx.TensorProto.FromString(tensor.SerializeToString()) for tensor in used]
    for tensor in constants:
        tensor.name = names[tensor.name]
    del graph.initializer[:]
    graph.initializer.extend(constants)
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
