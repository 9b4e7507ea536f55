"""What a user of KServe writes for an ONNX model: a server of its own, for the file and the ports of its arguments."""

import logging
import sys
from typing import Any

import onnxruntime
from kserve import (
    InferOutput,
    InferResponse,
    Model,
    ModelServer,
)


class Recommender(Model):
    def __init__(self, name, file):
        super().__init__(name)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        self.ready = True

    def predict(self, payload, headers=None, response_headers=None):
        inputs = {one.name: one.as_numpy() for one in payload.inputs}
        scores: Any = self._session.run(["scores"], inputs)[0]
        output = InferOutput("scores", list(scores.shape), "FP32")
        output.set_data_from_numpy(scores)
        return InferResponse(payload.id, self.name, [output])


if __name__ == "__main__":
    name, file, grpc_port, http_port = sys.argv[1:]
    server = ModelServer(
        grpc_port=int(grpc_port), http_port=int(http_port), enable_latency_logging=False, grace_period=1
    )
    # Two lines for each request otherwise.
    logging.getLogger("kserve").setLevel(logging.WARNING)
    server.start([Recommender(name, file)])
