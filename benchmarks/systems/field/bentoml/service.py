"""What a user of BentoML writes for an ONNX model: requests that adaptive batching has joined, in one call.

A batchable API takes one argument only, so a row is both inputs, one after the other.
"""

import os
from typing import Annotated, Any

import bentoml
import numpy as np
import onnxruntime
from bentoml.validators import DType

USER_FEATURES = 128
Floats = Annotated[np.ndarray, DType("float32")]


# One worker for each core: a second one makes it faster by half.
@bentoml.service(workers=2, traffic={"timeout": 10}, logging={"access": {"enabled": False}})
class Recommender:
    def __init__(self):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            os.environ["RECOMMENDER_FILE"], options, providers=["CPUExecutionProvider"]
        )

    @bentoml.api(batchable=True, max_batch_size=32, max_latency_ms=10_000)
    async def predict(self, rows: Floats) -> Floats:
        inputs = {"user_features": rows[:, :USER_FEATURES], "item_features": rows[:, USER_FEATURES:]}
        scores: Any = self._session.run(["scores"], inputs)[0]
        return scores
