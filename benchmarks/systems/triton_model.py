"""What a user of Triton writes for an ONNX model: all requests that Triton's dynamic batching has joined, in one call.

Becomes `1/model.py` of the reference's model, beside model.onnx.
"""

import os
from typing import Any

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils  # pyright: ignore[reportMissingImports]


class TritonPythonModel:
    def initialize(self, args):
        path = os.path.join(args["model_repository"], args["model_version"], "model.onnx")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._inputs = [one.name for one in self._session.get_inputs()]
        self._outputs = [one.name for one in self._session.get_outputs()]

    def execute(self, requests):
        parts = {
            name: [pb_utils.get_input_tensor_by_name(request, name).as_numpy() for request in requests]
            for name in self._inputs
        }
        rows = [len(part) for part in parts[self._inputs[0]]]
        joined: Any = self._session.run(self._outputs, {name: np.concatenate(part) for name, part in parts.items()})
        ends = np.cumsum(rows)
        return [
            pb_utils.InferenceResponse(
                [
                    pb_utils.Tensor(name, np.ascontiguousarray(value[end - count : end]))
                    for name, value in zip(self._outputs, joined, strict=True)
                ]
            )
            for end, count in zip(ends, rows, strict=True)
        ]
