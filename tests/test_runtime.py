"""The one door to onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from deepfake_audio.runtime import open_session


def adding_model(operator: str = "Add") -> bytes:
    """Return an ONNX model that adds its two inputs."""
    a, b, total = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [name]) for name in ("a", "b", "y"))
    graph = onnx.helper.make_graph([onnx.helper.make_node(operator, ["a", "b"], ["y"])], "g", [a, b], [total])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    content: bytes = model.SerializeToString()
    return content


@pytest.mark.parametrize("threads", [1, 2])
def test_runs_on_the_cpu(threads: int) -> None:
    """A session computes on the CPU alone, with as many threads as it was given, and holds on to no memory."""
    session = open_session(adding_model(), threads=threads)

    assert session.run(["y"], {"a": np.ones(2, np.float32), "b": np.ones(2, np.float32)})[0].tolist() == [2, 2]
    assert session.get_providers() == ["CPUExecutionProvider"]
    options = session.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (threads, 1)
    assert options.enable_cpu_mem_arena


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"no model at all", id="text"),
        pytest.param(adding_model()[:-9], id="cut"),
        pytest.param(adding_model("Conjure"), id="unknown-operator"),
    ],
)
def test_failures_are_exceptions_only(content: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    """What onnxruntime refuses is an exception; nothing is printed, which could mix with a result."""
    with pytest.raises(Exception, match=r"(?i)model|protobuf|load"):
        open_session(content)

    assert capfd.readouterr() == ("", "")


def test_run_errors_are_exceptions_only(capfd: pytest.CaptureFixture[str]) -> None:
    """So is what goes wrong while a model runs."""
    session: Any = open_session(adding_model())

    with pytest.raises(Exception, match="broadcast"):
        session.run(["y"], {"a": np.zeros(2, np.float32), "b": np.zeros(3, np.float32)})

    assert capfd.readouterr() == ("", "")
