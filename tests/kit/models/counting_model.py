"""A version that answers in parts: it counts, with a part for each number, and does what else its row says."""

from __future__ import annotations

from headrace.tensor.v1 import tensor_pb2

FAIL, DIE = -1, -2

CODE = b'''
import os
import time

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """Counts to `n`, with `pause` seconds before each part; then fails where `then` is -1, dies where it is -2.

    Of another `then` each part has so many KiB.
    """

    def execute(self, requests):
        n, pause, then = (tensor.as_numpy()[0, 0] for tensor in requests[0].inputs())
        for i in range(int(n)):
            time.sleep(float(pause))
            part = pb_utils.Tensor("i", np.array([[i]], np.int32))
            said = str(i).encode().ljust(1024 * int(max(then, 0)))
            yield pb_utils.InferenceResponse([part, pb_utils.Tensor("text", np.array([[said]], np.object_))])
        if then == -1:
            raise ValueError("it was told to fail")
        if then == -2:
            os._exit(3)
'''


def contract() -> tensor_pb2.ServingContract:
    """Return its contract."""
    told = tensor_pb2.ServingContract(decoupled=True)
    for name, datatype in (("n", "INT32"), ("pause", "FP32"), ("then", "INT32")):
        told.inputs.add(name=name, datatype=datatype, shape=[1])
    told.outputs.add(name="i", datatype="INT32", shape=[1])
    told.outputs.add(name="text", datatype="BYTES", shape=[1])
    return told
