"""
The operators of a model's graph: what each reads and gives, what it holds, what it costs.

Nothing is run. Shapes are those of one window, by ONNX's own shape inference, operator by operator, so that one that
it cannot tell leaves the others known. The graph may be anything that ``modelfile.read_model`` lets through: a shape
with more axes, or longer ones, than any detector has is taken for unknown, and so nothing grows beyond the file.

Costs are multiply-accumulates: for each number that comes out of a convolution or a matrix product, the products that
are summed up for it. What goes number by number (biases, activations) is not counted. What does not depend on the
signal costs nothing, since a session computes it once, when it opens.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# None stands for an axis of unknown length.
Shape = tuple[int | None, ...]

# Beyond these a shape is taken for unknown.
_MOST_AXES = 16
_LONGEST_AXIS = 1 << 40
# So many numbers of a constant or an attribute can be a shape, or what one is made of.
_MOST_VALUES = 64
_PARAMETERS = ("FLOAT", "FLOAT16", "BFLOAT16", "DOUBLE")


@dataclass(frozen=True)
class Operator:
    """
    An operator of a graph.

    Attributes:
        name: Its own, else that of its first output.
        kind: What ONNX calls it, such as ``Conv``.
        inputs: The tensors that it reads; an empty name where one is left out.
        outputs: The tensors that it gives.
        input_shapes: Of one window; None where nothing is known.
        output_shapes: Likewise.
        attributes: Those that are whole numbers, or a few of them.
        n_parameters: Floating-point numbers of the file that it is the first to read.
        n_bytes: Of all constants that it is the first to read.
        macs: Multiply-accumulates per window; None if they cannot be told.
        is_constant: Whether it does not depend on the signal, or on its length alone.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    input_shapes: tuple[Shape | None, ...]
    output_shapes: tuple[Shape | None, ...]
    attributes: dict[str, int | tuple[int, ...]]
    n_parameters: int
    n_bytes: int
    macs: int | None
    is_constant: bool


def operators(model: Any, shape: Sequence[int]) -> list[Operator]:
    """
    Return the operators of a graph, in its order.

    Args:
        model: An ``onnx.ModelProto`` of one input, without functions, external data and graphs within the graph.
        shape: Of that input, for one window.
    """
    tracer = _Tracer(model, shape)
    return [tracer.traced(node) for node in model.graph.node]


def size(shape: Shape | None) -> int | None:
    """Return how many numbers a tensor has; None if its shape is not known."""
    if shape is None or any(length is None for length in shape):
        return None
    return math.prod(length for length in shape if length is not None)


class _Tracer:
    """Follows a graph from its input on, keeping what is known of each tensor."""

    def __init__(self, model: Any, shape: Sequence[int]) -> None:
        import onnx

        kind_of, make_type = onnx.TensorProto.DataType.Value, onnx.helper.make_tensor_type_proto
        self._opsets = {_domain(opset.domain): opset for opset in model.opset_import}
        self._ir_version = model.ir_version
        self._unread = {tensor.name: tensor for tensor in model.graph.initializer}
        self._free = {"", *self._unread}  # what does not depend on the signal
        self._types: dict[str, Any] = {}
        self._shapes: dict[str, Shape | None] = {}
        self._values: dict[str, npt.NDArray[np.int64]] = {}
        self._parameters = {kind_of(kind) for kind in _PARAMETERS}
        integers = {kind_of("INT32"), kind_of("INT64")}
        for tensor in model.graph.initializer:
            self._learn(tensor.name, make_type(tensor.data_type, list(tensor.dims)))
            if tensor.data_type in integers and len(tensor.dims) == 1 and tensor.dims[0] <= _MOST_VALUES:
                with contextlib.suppress(ValueError):  # fewer bytes than it should have
                    self._values[tensor.name] = onnx.numpy_helper.to_array(tensor).astype(np.int64)
        self._learn(model.graph.input[0].name, make_type(kind_of("FLOAT"), list(shape)))

    def traced(self, node: Any) -> Operator:
        """Return what is known of the next operator."""
        for name, found in self._inferred(node).items():
            self._learn(name, found)
        self._follow_values(node)
        is_constant = node.op_type == "Shape" or self._free.issuperset(node.input)
        if is_constant:
            self._free.update(node.output)
        read = [self._unread.pop(name) for name in node.input if name in self._unread]
        read += [attribute.t for attribute in node.attribute if attribute.HasField("t")]
        own = [tensor for tensor in read if tensor.data_type in self._parameters]
        inputs, outputs = tuple(node.input), tuple(node.output)
        input_shapes, output_shapes = (tuple(self._shapes.get(name) for name in names) for names in (inputs, outputs))
        attributes = _whole_numbers(node)
        return Operator(
            node.name or (outputs[0] if outputs else ""),
            node.op_type,
            inputs,
            outputs,
            input_shapes,
            output_shapes,
            attributes,
            sum(math.prod(tensor.dims) for tensor in own if len(tensor.dims) <= _MOST_AXES),
            sum(tensor.ByteSize() for tensor in read),
            0 if is_constant else _macs(node.op_type, input_shapes, output_shapes, attributes),
            is_constant,
        )

    def _learn(self, name: str, found: Any) -> None:
        """Keep the type of a tensor, unless it is of a size that no tensor of ours has."""
        tensor = found.tensor_type
        lengths = tensor.shape.dim
        if len(lengths) > _MOST_AXES or any(not 0 <= length.dim_value <= _LONGEST_AXIS for length in lengths):
            return
        self._types[name] = found
        if tensor.HasField("shape"):
            self._shapes[name] = tuple(length.dim_value if length.HasField("dim_value") else None for length in lengths)

    def _inferred(self, node: Any) -> dict[str, Any]:
        """Return the types of a node's outputs, as far as ONNX can tell them."""
        import onnx

        if any(len(attribute.ints) > _MOST_VALUES for attribute in node.attribute):
            return {}  # as a shape, it would be longer than any
        try:
            domain = _domain(node.domain)
            found: dict[str, Any] = onnx.shape_inference.infer_node_outputs(
                onnx.defs.get_schema(node.op_type, self._opsets[domain].version, domain),
                node,
                {name: self._types[name] for name in node.input if name},
                {
                    name: onnx.numpy_helper.from_array(self._values[name], name)
                    for name in node.input
                    if name in self._values
                },
                opset_imports=list(self._opsets.values()),
                ir_version=self._ir_version,
            )
        except Exception:  # noqa: BLE001 - one of several errors of its own, or a number that is too large for it
            return {}
        return found

    def _follow_values(self, node: Any) -> None:
        """Keep the numbers that a node makes of a shape, since another may be made of them."""
        shapes = [self._shapes.get(name) for name in node.input]
        if node.op_type == "Shape" and shapes and shapes[0] and None not in shapes[0]:
            limits = {attribute.name: attribute.i for attribute in node.attribute}
            made = np.array(shapes[0][limits.get("start") : limits.get("end")], dtype=np.int64)
        elif node.op_type in _OF_VALUES and all(name in self._values for name in node.input):
            try:
                made = _OF_VALUES[node.op_type](*(self._values[name] for name in node.input))
            except (IndexError, TypeError, ValueError):
                return
        else:
            return
        if node.output and made.ndim == 1 and len(made) <= _MOST_VALUES:
            self._values[node.output[0]] = made


def _domain(name: str) -> str:
    """Return the name of a domain; ONNX's own has two."""
    return "" if name == "ai.onnx" else name


# What a converter's flattening does to the shape of a tensor before it reshapes it.
_OF_VALUES: dict[str, Callable[..., Any]] = {
    "Cast": lambda values: values,
    "Gather": lambda values, places: values[places],
    "Slice": lambda values, first, last, _axis=None: values[first[0] : last[0]],
    "Concat": lambda *values: np.concatenate(values),
}


def _whole_numbers(node: Any) -> dict[str, int | tuple[int, ...]]:
    """Return the attributes of a node that are a whole number or a few of them."""
    import onnx

    found: dict[str, int | tuple[int, ...]] = {}
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.INT:
            found[attribute.name] = attribute.i
        elif attribute.type == onnx.AttributeProto.INTS and len(attribute.ints) <= _MOST_VALUES:
            found[attribute.name] = tuple(attribute.ints)
    return found


# Sums of products in which none of ours are; what their costs are is not worked out.
_UNCOUNTED = (
    *("ConvInteger", "ConvTranspose", "DFT", "Einsum", "GRU", "LSTM", "LinearClassifier", "LinearRegressor"),
    *("MatMulInteger", "QLinearConv", "QLinearMatMul", "RNN", "STFT", "SVMClassifier", "SVMRegressor"),
)


def _macs(
    kind: str, inputs: Sequence[Shape | None], outputs: Sequence[Shape | None], attributes: dict[str, Any]
) -> int | None:
    """Return the multiply-accumulates of an operator; None if a shape is missing that they depend on."""
    if kind not in ("Conv", "Gemm", "MatMul"):
        return None if kind in _UNCOUNTED else 0
    first, second = (*inputs, None, None)[:2]
    n_outputs = size((*outputs, None)[0])
    if not first or not second or n_outputs is None:
        return None
    # Of one number that comes out: the weights of its channel, or the axis that both factors share.
    shared = first[0 if kind == "Gemm" and attributes.get("transA") else -1]
    products = size(second[1:]) if kind == "Conv" else shared
    return None if products is None else n_outputs * products
