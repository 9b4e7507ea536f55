"""What a user of MLServer writes for an ONNX model: its codecs make arrays of what adaptive batching has joined."""

from typing import Any

import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse


class Recommender(MLModel):
    async def load(self):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            self.settings.parameters.uri, options, providers=["CPUExecutionProvider"]
        )
        return True

    async def predict(self, payload):
        inputs = {one.name: NumpyCodec.decode_input(one) for one in payload.inputs}
        scores: Any = self._session.run(["scores"], inputs)[0]
        outputs = [NumpyCodec.encode_output("scores", scores)]
        return InferenceResponse(model_name=self.name, outputs=outputs)
