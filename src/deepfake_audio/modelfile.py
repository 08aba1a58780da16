"""
The model file: one ONNX file from waveform to score, with everything a reader must know inside.

The graph has one input, ``signal``: float32 windows of shape (n, window_samples), and one output, ``score``: float32 of
shape (n,), higher = more genuine. There may be a second output, ``familiarity``: float32 of shape (n,), higher = more
like what the model learnt from. The rest is one JSON document in the file's ``metadata_props`` under the key
``deepfake_audio``, read into ``ModelMetadata``.

A model file is data. Loading one runs no code of it, opens no other file, and refuses what our own files never hold:
external data, operators of foreign domains, functions, graphs within the graph (loops and branches).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from deepfake_audio.calibration import Calibration
from deepfake_audio.errors import ModelFileError
from deepfake_audio.files import replacing

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

FloatArray = npt.NDArray[np.float32]

FORMAT = 2
METADATA_KEY = "deepfake_audio"
INPUT = "signal"
OUTPUT = "score"
FAMILIARITY = "familiarity"
MAX_BYTES = 256 << 20
MAX_NAME = 100

SHIPPED_DIRECTORY = Path(__file__).parent / "models"
SHIPPED = ("default", "svm", "cnn")

_DOMAINS = {"", "ai.onnx", "ai.onnx.ml"}
# Larger numbers in the metadata could make a log-likelihood ratio infinite, which JSON cannot hold.
_LARGEST = 1e12


def is_model_name(name: str) -> bool:
    """Return whether a model may call itself so: a short text that can be printed anywhere."""
    return name.isprintable() and 1 <= len(name) <= MAX_NAME


@dataclass(frozen=True)
class ModelMetadata:
    """
    What a model file says about itself.

    Attributes:
        name: A short name for reports, printable.
        backend: What trained it.
        sample_rate: Of the windows, in Hz.
        window_samples: Length of one window.
        hop_samples: Step from window to window.
        calibration: From the mean window score of a file to its log-likelihood ratio.
        threshold: The log-likelihood ratio below which the verdict is ``deepfake``.
        margin: Verdicts closer to the threshold than this are ``inconclusive``.
        operating_points: Other thresholds, by name.
        recipe: Every choice of the run that made it, as ``Recipe.to_dict`` gives it.
        training: Data and held-out results of that run.
        versions: Of this package and the libraries that made it.
        format: Version of this layout.
        familiarity: Recordings whose mean familiarity is below this are unlike what the model knows; None if its graph
            does not tell.
    """

    name: str
    backend: str
    sample_rate: int
    window_samples: int
    hop_samples: int
    calibration: Calibration
    threshold: float
    margin: float
    operating_points: dict[str, float]
    recipe: dict[str, Any]
    training: dict[str, Any]
    versions: dict[str, str]
    format: int = FORMAT
    familiarity: float | None = None

    def __post_init__(self) -> None:
        """Refuse values that could not have been written by ``write_model``."""
        numbers = [self.calibration.scale, self.calibration.offset, self.threshold, self.margin]
        numbers += self.operating_points.values()
        numbers += [] if self.familiarity is None else [self.familiarity]
        shortest, longest = self.sample_rate, 600 * self.sample_rate  # tenths of samples
        # A file can hold whole numbers of any size, so nothing here divides, or makes a float of one.
        checks = {
            f"name must be 1 to {MAX_NAME} printable characters": is_model_name(self.name),
            "sample_rate must be 4000 to 384000": 4_000 <= self.sample_rate <= 384_000,  # noqa: PLR2004
            "window_samples must be 0.1 s to 60 s": shortest <= 10 * self.window_samples <= longest,
            "hop_samples must be between a tenth of the window and the window": (
                self.window_samples <= 10 * self.hop_samples <= 10 * self.window_samples
            ),
            "calibration, thresholds and margin must be finite": all(abs(number) <= _LARGEST for number in numbers),
            "calibration.scale must be positive": self.calibration.scale > 0,
            "margin must not be negative": self.margin >= 0,
        }
        for rule, holds in checks.items():
            if not holds:
                raise ValueError(rule)

    @classmethod
    def from_json(cls, text: str) -> ModelMetadata:
        """
        Read what ``to_json`` wrote.

        Raises:
            ValueError: If it is no such document; the message says what was expected.
        """
        values = _json_object(text)
        if values.get("format") != FORMAT:
            raise ValueError(f"format {values.get('format')!r}, this version reads format {FORMAT}")
        if missing := sorted(set(_JSON_TYPES) - set(values) - _OPTIONAL):
            raise ValueError(f"missing keys: {', '.join(missing)}")
        if unknown := sorted(set(values) - set(_JSON_TYPES)):
            raise ValueError(f"unknown keys: {', '.join(unknown)}")
        for key, kind in _JSON_TYPES.items():
            _require_type(key, values.get(key), kind)
        for key, kind in _ENTRY_TYPES.items():
            for name, value in values[key].items():
                _require_type(f"{key}.{name}", value, kind)
        if set(values["calibration"]) != {"scale", "offset"}:
            raise ValueError(f"calibration must hold scale and offset, it holds {sorted(values['calibration'])}")
        return cls(**{**values, "calibration": Calibration(**values["calibration"])})

    def to_json(self) -> str:
        """Return the document for the file."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True, allow_nan=False)


def _json_object(text: str) -> dict[str, Any]:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"expected JSON ({error})") from error
    if not isinstance(values, dict):
        raise ValueError("expected a JSON object")  # noqa: TRY004 - one kind of error for all of them
    return values


def _require_type(key: str, value: object, kind: Any) -> None:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{key} is a {type(value).__name__}")  # noqa: TRY004 - one kind of error for all of them


_JSON_TYPES: dict[str, Any] = {
    "format": int,
    "name": str,
    "backend": str,
    "sample_rate": int,
    "window_samples": int,
    "hop_samples": int,
    "calibration": dict,
    "threshold": int | float,
    "margin": int | float,
    "operating_points": dict,
    "recipe": dict,
    "training": dict,
    "versions": dict,
    "familiarity": int | float | None,
}
_OPTIONAL = {"familiarity"}
_ENTRY_TYPES: dict[str, Any] = {"calibration": int | float, "operating_points": int | float, "versions": str}


@dataclass(frozen=True)
class WindowScores:
    """
    What a model says of windows.

    Attributes:
        score: Raw scores, higher = more genuine, shape (n,).
        familiarity: How like they are to what it learnt from, higher = more so, shape (n,); None if it does not tell.
    """

    score: FloatArray
    familiarity: FloatArray | None = None


@dataclass(frozen=True)
class ModelFile:
    """A model file that was read and found in order."""

    path: Path
    sha256: str
    metadata: ModelMetadata
    _content: bytes = dataclasses.field(repr=False)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the open session behind when a copy goes to another process."""
        return {key: value for key, value in self.__dict__.items() if key != "_session"}

    @cached_property
    def _session(self) -> Any:
        from deepfake_audio.runtime import open_session

        try:
            return open_session(self._content)
        except Exception as error:  # onnxruntime's exceptions have no common base of their own
            raise ModelFileError(f"{self.path}: onnxruntime refuses this model ({_first_line(error)})") from error

    def score(self, windows: FloatArray) -> WindowScores:
        """
        Return what the model says of each window.

        Args:
            windows: Shape (n, window_samples).

        Raises:
            ModelFileError: If the graph cannot run or does not give n finite numbers.
        """
        session = self._session
        names = [OUTPUT] if self.metadata.familiarity is None else [OUTPUT, FAMILIARITY]
        try:
            outputs = session.run(names, {INPUT: windows})
        except Exception as error:
            raise ModelFileError(f"{self.path}: cannot be run ({_first_line(error)})") from error
        for values, what in zip(outputs, ("scores", "familiarities"), strict=False):
            if np.shape(values) != (len(windows),) or not np.isfinite(values).all():
                raise ModelFileError(f"{self.path}: gave no {len(windows)} finite {what} but shape {np.shape(values)}")
        return WindowScores(*(np.asarray(values, dtype=np.float32) for values in outputs))


def resolve_model(name: str | os.PathLike[str]) -> Path:
    """Return the file of a shipped model (``default``, ``svm``, ``cnn``), or the path itself."""
    return SHIPPED_DIRECTORY / f"{name}.onnx" if name in SHIPPED else Path(name)


def read_model(name: str | os.PathLike[str]) -> ModelFile:
    """
    Read and verify a model file.

    Args:
        name: A path, or the name of a shipped model.

    Raises:
        ModelFileError: If it is missing, no ONNX model, not one of ours, or holds what could do harm.
    """
    path = resolve_model(name)
    content = _read_limited(path)
    proto = _parse(path, content)
    try:
        _refuse_foreign(proto)
        metadata = _metadata(proto)
        _require_input(proto.graph.input, f"{INPUT!r} of float (n, {metadata.window_samples})")
        _require_outputs(proto.graph.output, metadata)
    except ValueError as error:
        raise ModelFileError(f"{path}: {error}") from error
    return ModelFile(path, hashlib.sha256(content).hexdigest(), metadata, content)


def write_model(path: str | os.PathLike[str], model: Any, metadata: ModelMetadata) -> str:
    """
    Write an ONNX model with its metadata, whole or not at all; return the SHA-256 of the file.

    Args:
        path: Where to.
        model: An ``onnx.ModelProto`` from ``signal`` to ``score``, or to ``score`` and ``familiarity``.
        metadata: What goes inside.

    Raises:
        ModelFileError: If the file would be larger than ``read_model`` accepts.
    """
    import onnx

    onnx.helper.set_model_props(model, {METADATA_KEY: metadata.to_json()})
    content = model.SerializeToString(deterministic=True)
    _refuse_size(path, len(content))
    with replacing(path) as stream:
        stream.write(content)
    return hashlib.sha256(content).hexdigest()


def _read_limited(path: Path) -> bytes:
    try:
        if not path.is_file():
            there = "is a directory" if path.is_dir() else "is no regular file"
            what = f"{there}, not a model file" if path.exists() else "there is no such model file"
            names = ", ".join(SHIPPED)
            raise ModelFileError(f"{path}: {what}; give a path or one of the shipped models: {names}")
        _refuse_size(path, path.stat().st_size)
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise ModelFileError(f"{path}: cannot be read ({error})") from error


def _refuse_size(path: str | os.PathLike[str], size: int) -> None:
    if size > MAX_BYTES:
        raise ModelFileError(f"{path}: {size:,} bytes are more than a model file may have ({MAX_BYTES:,})")


# Bytes that tell what is no ONNX model, and where in a file they stand.
_FOREIGN_MAGIC = (
    (0, b"\x80", "a Python pickle (or joblib) file"),
    (0, b"PK", "a zip archive (.keras, .npz)"),
    (0, b"\x89HDF", "an HDF5 file (.h5)"),
    # onnxruntime goes by these four bytes; a file could be one model to the checks here, and another to onnxruntime.
    (4, b"ORTM", "a file in onnxruntime's own format (.ort)"),
)


def _parse(path: Path, content: bytes) -> Any:
    import onnx
    from google.protobuf.message import DecodeError

    if not content:
        raise ModelFileError(f"{path}: is empty (0 bytes), not an ONNX model")
    for at, magic, what in _FOREIGN_MAGIC:
        if content.startswith(magic, at):
            raise ModelFileError(f"{path}: is {what}, not an ONNX model; such files are never opened")
    try:
        proto = onnx.ModelProto.FromString(content)
    except DecodeError as error:
        raise ModelFileError(f"{path}: is not an ONNX model, or a damaged one") from error
    if not proto.graph.node:
        raise ModelFileError(f"{path}: is not an ONNX model (it has no graph)")
    return proto


def _metadata(proto: Any) -> ModelMetadata:
    properties = {prop.key: prop.value for prop in proto.metadata_props}
    if METADATA_KEY not in properties:
        raise ValueError(
            f"an ONNX model without our metadata (key {METADATA_KEY!r}); models come from `deepfake-audio train`"
        )
    try:
        return ModelMetadata.from_json(properties[METADATA_KEY])
    except ValueError as error:
        raise ValueError(f"its metadata cannot be used: {error}") from error


def _refuse_foreign(proto: Any) -> None:
    if proto.functions or proto.training_info:
        raise ValueError("holds functions or training steps of its own, which our models never do")
    for node in proto.graph.node:
        if node.domain not in _DOMAINS:
            raise ValueError(f"uses the operator {node.domain}:{node.op_type}, which our models never do")
        if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
            raise ValueError(f"has a graph within its operator {node.op_type}, which our models never do")
    for tensor in _tensors(proto.graph):
        if tensor.external_data or tensor.data_location:
            raise ValueError("keeps data outside the file (external data), which could read foreign files: refused")


def _tensors(graph: Any) -> Iterator[Any]:
    """Yield the tensors of a graph that holds no graphs within it."""
    yield from graph.initializer
    sparse = list(graph.sparse_initializer)
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            sparse += (attribute.sparse_tensor, *attribute.sparse_tensors)
    for tensor in sparse:
        yield from (tensor.values, tensor.indices)


def _require_input(values: Any, expected: str) -> None:
    """Raise unless a graph declares one input alone, of the expected name, type and shape."""
    found = [_described(value) for value in values]
    if found != [expected]:
        raise ValueError(f"expected one input {expected}, found {'; '.join(found) or 'none'}")


def _require_outputs(values: Any, metadata: ModelMetadata) -> None:
    """Raise unless a graph declares the score, and familiarity if and only if the metadata have a threshold for it."""
    found = [_described(value) for value in values]
    score, familiarity = (f"{name!r} of float (n)" for name in (OUTPUT, FAMILIARITY))
    if found not in ([score], [score, familiarity]):
        raise ValueError(
            f"expected one output {score}, or a second one {familiarity}, found {'; '.join(found) or 'none'}"
        )
    if metadata.familiarity is None and len(found) > 1:
        raise ValueError(f"has the output {FAMILIARITY!r}, but its metadata have no threshold for it")
    if metadata.familiarity is not None and len(found) == 1:
        raise ValueError(f"its metadata have a threshold for {FAMILIARITY!r}, but it has no such output")


def _described(value: Any) -> str:
    import onnx

    tensor = value.type.tensor_type
    types = {number: name.lower() for name, number in onnx.TensorProto.DataType.items()}
    sizes = [str(dim.dim_value) if dim.HasField("dim_value") else "n" for dim in tensor.shape.dim]
    return f"{value.name!r} of {types.get(tensor.elem_type, 'unknown')} ({', '.join(sizes)})"


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
