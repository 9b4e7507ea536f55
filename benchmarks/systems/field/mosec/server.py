"""What a user of mosec writes for an ONNX model: rows of JSON that dynamic batching has joined, in one call.

Bodies are decoded by msgspec, which mosec installs: quicker than the json of its own example.
"""

import os
from typing import Any

import msgspec
import numpy as np
import onnxruntime
from mosec import Server, Worker


class Row(msgspec.Struct):
    user_features: list[float]
    item_features: list[float]


class Body(msgspec.Struct):
    instances: list[Row]


class Recommender(Worker):
    def __init__(self):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            os.environ["RECOMMENDER_FILE"], options, providers=["CPUExecutionProvider"]
        )
        self._decoder = msgspec.json.Decoder(Body)

    def deserialize(self, data):
        return self._decoder.decode(data)

    def serialize(self, data):
        return msgspec.json.encode({"predictions": data})

    def forward(self, data):
        rows = [row for body in data for row in body.instances]
        inputs = {
            "user_features": np.array([row.user_features for row in rows], np.float32),
            "item_features": np.array([row.item_features for row in rows], np.float32),
        }
        scores: Any = self._session.run(["scores"], inputs)[0]
        ends = np.cumsum([len(body.instances) for body in data])
        return [part.tolist() for part in np.split(scores, ends[:-1])]


if __name__ == "__main__":
    server = Server()
    # One worker for each core: with one it answered less than half of it.
    server.append_worker(Recommender, num=2, max_batch_size=32, max_wait_time=1)
    server.run()
