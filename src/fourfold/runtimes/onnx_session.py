"""Open sessions of ONNX Runtime: one thread, the CPU, and no operators but its own."""

from __future__ import annotations

from typing import Any

import onnxruntime

__all__ = ["open_session"]


def open_session(data: bytes) -> Any:
    """Return a session for a model's bytes; raise what ONNX Runtime raises, whose errors have no class in common."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    options.log_severity_level = 4  # only fatal errors: all others are in the exception
    # Otherwise ONNX Runtime would accept its own format, ORT, which `external_tensors` does not check.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
