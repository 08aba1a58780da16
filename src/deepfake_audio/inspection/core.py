"""From a model file to what it holds."""

from __future__ import annotations

import itertools
import platform
import statistics
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from deepfake_audio.errors import DataError, ModelFileError
from deepfake_audio.features import FeatureSpec, feature_shape
from deepfake_audio.features.spec import n_spectra
from deepfake_audio.inspection.operators import Operator, operators
from deepfake_audio.inspection.stages import Stage, parts, stages
from deepfake_audio.modelfile import METADATA_KEY

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from deepfake_audio.modelfile import ModelFile, ModelMetadata

MAX_OPERATORS = 100_000
# With more than this a recipe is none that a graph follows, and to work out its shapes could take all memory.
_LARGEST_NUMBER, _MOST_KINDS, _MOST_MEMBERS = 1 << 20, 100, 100
# How long a measurement takes at most, and how many windows it takes at least.
_MEASURING_SECONDS, _FEWEST_WINDOWS = 0.5, 5


@dataclass(frozen=True)
class Kind:
    """
    A kind of features of a front end.

    Attributes:
        member: Of which member of the model, from 1.
        spec: What is computed.
        shape: Of one window.
    """

    member: int
    spec: FeatureSpec
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Speed:
    """
    How fast a model is on this machine, on one thread.

    Attributes:
        windows_per_second: By the median time of a window.
        n_windows: How many were timed.
        machine: The kind of processor.
    """

    windows_per_second: float
    n_windows: int
    machine: str


@dataclass(frozen=True)
class Inspection:
    """
    What a model file holds.

    Attributes:
        path: The file.
        sha256: Its hash.
        metadata: What it says about itself.
        ir_version: Of ONNX's format.
        opsets: Versions of the operators, by domain.
        kinds: Of features, of all front ends whose shapes in the graph are those of the recipe.
        stages: Of the graph, in its order.
        operators: Likewise.
        n_parameters: Floating-point numbers by kind of part: those of a front end are constants, those of a classifier
            were learnt.
        n_bytes: Of the file, by what they hold: the constants by kind of part, ``operators`` with their names,
            ``metadata``, and ``other``.
        macs: Multiply-accumulates per window by kind of part, of the operators whose cost is known.
        speed: None unless it was measured.
    """

    path: str
    sha256: str
    metadata: ModelMetadata
    ir_version: int
    opsets: dict[str, int]
    kinds: tuple[Kind, ...]
    stages: tuple[Stage, ...]
    operators: tuple[Operator, ...]
    n_parameters: dict[str, int]
    n_bytes: dict[str, int]
    macs: dict[str, int]
    speed: Speed | None = None

    @property
    def macs_per_window(self) -> int:
        """All multiply-accumulates of the operators whose cost is known."""
        return sum(self.macs.values())

    @property
    def n_uncounted(self) -> int:
        """How many operators there are whose multiply-accumulates cannot be told."""
        return sum(operator.macs is None for operator in self.operators)

    @property
    def macs_per_second(self) -> int:
        """The same per second of audio."""
        return self.macs_per_window * self.metadata.sample_rate // self.metadata.hop_samples

    @property
    def audio_seconds_per_second(self) -> float | None:
        """How many seconds of audio it gets through in a second, reading the audio aside; None if not measured."""
        hop_seconds = self.metadata.hop_samples / self.metadata.sample_rate
        return None if self.speed is None else self.speed.windows_per_second * hop_seconds


def inspect_model(model: ModelFile, *, measure: bool = False) -> Inspection:
    """
    Look into a model file.

    Args:
        model: As ``read_model`` gave it.
        measure: Whether to run it on noise, too, for half a second or a few windows; else nothing is run.

    Raises:
        ModelFileError: If its graph has more operators than any of ours, its names are no text, or it cannot be run.
    """
    import onnx

    proto = onnx.ModelProto.FromString(model._content)  # noqa: SLF001 - the very bytes that were verified
    if len(proto.graph.node) > MAX_OPERATORS:
        raise ModelFileError(
            f"{model.path}: has {len(proto.graph.node):,} operators, which are more than a model of ours can have "
            f"({MAX_OPERATORS:,})"
        )
    if not all(isinstance(name, str) for name in _names(proto)):  # what is not UTF-8 comes as bytes
        raise ModelFileError(f"{model.path}: has names that are no text")
    return _inspected(model, proto, measured(model) if measure else None)


def _names(proto: Any) -> Iterator[object]:
    """Yield every name that stands in a graph."""
    yield from (opset.domain for opset in proto.opset_import)
    yield from (tensor.name for tensor in proto.graph.initializer)
    for node in proto.graph.node:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        yield from (attribute.name for attribute in node.attribute)


def _inspected(model: ModelFile, proto: Any, speed: Speed | None) -> Inspection:
    metadata = model.metadata
    found = operators(proto, (1, metadata.window_samples))
    named = _kinds(metadata)
    specs: dict[int, list[FeatureSpec]] = {}
    for kind in named:
        specs.setdefault(kind.member, []).append(kind.spec)
    seen = stages(found, specs, metadata.window_samples)
    true = {stage.part.member for stage in seen if stage.kind == "features" and stage.words}
    n_parameters, n_bytes, macs = _totals(proto, found)
    return Inspection(
        path=str(model.path),
        sha256=model.sha256,
        metadata=metadata,
        ir_version=proto.ir_version,
        opsets={opset.domain or "ai.onnx": opset.version for opset in proto.opset_import},
        kinds=tuple(kind for kind in named if kind.member in true),
        stages=tuple(seen),
        operators=tuple(found),
        n_parameters=n_parameters,
        n_bytes=n_bytes | {"other": len(model._content) - sum(n_bytes.values())},  # noqa: SLF001
        macs=macs,
        speed=speed,
    )


def measured(model: ModelFile) -> Speed:
    """
    Time a model on windows of noise, one after the other, on one thread.

    Raises:
        ModelFileError: If it cannot be run.
    """
    noise = np.random.default_rng(0).standard_normal((1, model.metadata.window_samples)).astype(np.float32)
    model.score(noise)  # the first one takes longer
    seconds: list[float] = []
    while sum(seconds) < _MEASURING_SECONDS or len(seconds) < _FEWEST_WINDOWS:
        start = time.perf_counter()
        model.score(noise)
        seconds.append(time.perf_counter() - start)
    return Speed(1 / statistics.median(seconds), len(seconds), platform.machine() or "unknown")


def _totals(proto: Any, found: Sequence[Operator]) -> tuple[dict[str, int], ...]:
    """Return parameters, bytes and costs by kind of part; and, of the bytes, what else is known."""
    n_parameters, n_bytes, macs = Counter[str](), Counter[str](), Counter[str]()
    for operator, part in zip(found, parts(found), strict=True):
        n_parameters[part.kind] += operator.n_parameters
        n_bytes[part.kind] += operator.n_bytes
        macs[part.kind] += operator.macs or 0
    for node in proto.graph.node:
        n_bytes["operators"] += node.ByteSize() - sum(attribute.t.ByteSize() for attribute in node.attribute)
    for prop in proto.metadata_props:
        n_bytes["metadata"] += len(prop.value.encode()) * (prop.key == METADATA_KEY)
    return dict(n_parameters), dict(n_bytes), dict(macs)


def _kinds(metadata: ModelMetadata) -> list[Kind]:
    """Return the kinds of features that a recipe names, of the members that the graph has; none if it is no recipe."""
    try:
        return [
            Kind(number, spec, feature_shape(spec, metadata.window_samples))
            for number, member in enumerate(_used_members(metadata), start=1)
            for spec in _specs(member["features"], metadata.window_samples)
        ]
    except (AttributeError, DataError, KeyError, TypeError, ValueError):
        return []


def _used_members(metadata: ModelMetadata) -> list[Any]:
    """Return the recipe's members but those that count nothing, which are left out of the graph."""
    members, weights = metadata.recipe["members"], metadata.training.get("weights")
    if len(members) > _MOST_MEMBERS:
        raise ValueError("too many members")
    if not isinstance(weights, list) or len(weights) != len(members):
        weights = [1] * len(members)
    return [member for member, weight in zip(members, weights, strict=True) if weight]


def _specs(tables: list[dict[str, Any]], window: int) -> list[FeatureSpec]:
    """Read a front end whose shapes can be worked out in no time and no memory worth the name."""
    if len(tables) > _MOST_KINDS:
        raise ValueError("too many kinds of features")
    for value in itertools.chain.from_iterable(table.values() for table in tables):
        if isinstance(value, int | float) and not abs(value) <= _LARGEST_NUMBER:
            raise ValueError("too large a number")
    specs = [FeatureSpec.from_dict(table) for table in tables]
    if any(n_spectra(spec, window) > _LARGEST_NUMBER for spec in specs):
        raise ValueError("too many frames")
    return specs
