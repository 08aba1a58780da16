"""The one door to onnxruntime."""

from __future__ import annotations

from typing import Any

import onnxruntime


def open_session(model: bytes, *, threads: int = 1) -> Any:
    """
    Open an ONNX model for running on the CPU.

    One thread by default: windows are small, and several files are scored by several processes.
    The allocator's arena stays on: batches are small and of one size, while without it the heap of a long run fragments
    (``tests/benchmarks`` measures the memory of 2 hours of audio against that of a minute).
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # errors come as exceptions
    # Not by the first bytes: a file must not be one model to the checks before, and another one here.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    # Without the fallback, which would print on standard output that it tries the same provider once more.
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"], enable_fallback=0)
