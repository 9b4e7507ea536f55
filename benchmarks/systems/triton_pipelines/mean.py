"""The last step of an ensemble: the mean of three tensors. Becomes `1/model.py` of Triton's model."""

import numpy as np
import triton_python_backend_utils as pb_utils  # pyright: ignore[reportMissingImports]


class TritonPythonModel:
    def execute(self, requests):
        answers = []
        for request in requests:
            arrays = [tensor.as_numpy() for tensor in request.inputs()]
            mean = np.mean(arrays, axis=0, dtype=np.float32)
            answers.append(pb_utils.InferenceResponse([pb_utils.Tensor("output", mean)]))
        return answers
