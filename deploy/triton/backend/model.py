"""Triton backend `onnxruntime`: runs the model.onnx of a version with ONNX Runtime, through Triton's Python backend.

The Triton wheel ships no native ONNX Runtime backend. This file sits where the native one would
(`backends/onnxruntime/`), so a model's folder is the same for both: config.pbtxt with `backend: "onnxruntime"`, and
`1/model.onnx`. It checks nothing itself: the serving contract was checked before, ONNX Runtime checks the rest.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import headrace_budget
import headrace_turns
import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils

_FATAL = 4


class TritonPythonModel:
    def initialize(self, args):
        """Load the version's model.onnx. What is raised here is the reason that LoadModel answers with."""
        path = os.path.join(args["model_repository"], args["model_version"], "model.onnx")
        # Loading takes seconds of a core that other models serve on. A thread can step back for it; the process could
        # not take its priority again.
        budget = headrace_budget.kept(*headrace_budget.of(args["model_config"]))
        with budget, ThreadPoolExecutor(1, initializer=headrace_turns.give_way) as loading:
            self._session = loading.submit(_open_session, path).result()
        headrace_turns.take_short_turns()
        # Triton has no tensors without a dimension.
        self._single = {item.name for item in self._session.get_inputs() if item.shape == []}
        for output in self._session.get_outputs():
            if not output.type.startswith("tensor("):
                raise pb_utils.TritonModelException(f"output '{output.name}' is a {output.type}, not a tensor")

    def execute(self, requests):
        """Answer each request by itself, so that a bad one fails alone."""
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        try:
            given = {tensor.name(): self._given(tensor) for tensor in request.inputs()}
            names = list(request.requested_output_names())
            values = self._session.run(names, given)
            outputs = [pb_utils.Tensor(name, _to_triton(value)) for name, value in zip(names, values, strict=True)]
            return pb_utils.InferenceResponse(outputs)
        # Whatever ONNX Runtime dislikes is the answer to this request, not a reason to take the model down.
        except Exception as error:
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error), pb_utils.TritonError.INVALID_ARG))

    def _given(self, tensor):
        array = _from_triton(tensor.as_numpy())
        return array.reshape(()) if tensor.name() in self._single else array


def _open_session(path):
    options = onnxruntime.SessionOptions()
    # Parallelism comes from instances: two batches at once beat one batch on two threads.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = _FATAL
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _from_triton(array):
    """BYTES arrive as objects holding bytes; ONNX Runtime wants str."""
    if array.dtype != np.object_:
        return array
    return np.array([value.decode() for value in array.ravel()], dtype=np.object_).reshape(array.shape)


def _to_triton(value):
    array = np.atleast_1d(value)
    if array.dtype != np.object_ and array.dtype.kind != "U":
        return np.ascontiguousarray(array)
    return np.array([str(value).encode() for value in array.ravel()], dtype=np.object_).reshape(array.shape)
