"""What a user of Ray Serve writes for an ONNX model: a gRPC ingress whose rows `@serve.batch` joins.

Arguments: the model's file, the gRPC port, the HTTP port, a folder.
"""

import signal
import sys
from typing import Any

import numpy as np
import onnxruntime
import ray
from ray import serve
from ray.serve.config import gRPCOptions
from tritonclient.grpc import service_pb2

pb: Any = service_pb2
SERVICER = "tritonclient.grpc.service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server"


# One replica for each core: a second one makes it faster by a quarter.
@serve.deployment(num_replicas=2, max_ongoing_requests=1000)
class Recommender:
    def __init__(self, file):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])

    async def ModelInfer(self, request):
        tensors = zip(request.inputs, request.raw_input_contents, strict=True)
        rows = {one.name: np.frombuffer(raw, np.float32).reshape(one.shape) for one, raw in tensors}
        scores = await self._scores(rows)
        answer = pb.ModelInferResponse(model_name=request.model_name)
        answer.outputs.add(name="scores", datatype="FP32", shape=scores.shape)
        answer.raw_output_contents.append(scores.tobytes())
        return answer

    @serve.batch(max_batch_size=32, batch_wait_timeout_s=0)
    async def _scores(self, several):
        joined = {name: np.concatenate([rows[name] for rows in several]) for name in several[0]}
        scores: Any = self._session.run(["scores"], joined)[0]
        return np.split(scores, len(several))


if __name__ == "__main__":
    file, grpc_port, http_port, folder = sys.argv[1:]
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        _node_ip_address="127.0.0.1",
        _temp_dir=folder,
        logging_level="WARNING",
    )
    serve.start(
        grpc_options=gRPCOptions(port=int(grpc_port), grpc_servicer_functions=[SERVICER]),
        http_options={"host": "127.0.0.1", "port": int(http_port)},
    )
    serve.run(Recommender.bind(file), logging_config={"enable_access_log": False})
    # At its end Ray ends its processes. Serve's own way would first wait for callers that it does not have.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    signal.pause()
