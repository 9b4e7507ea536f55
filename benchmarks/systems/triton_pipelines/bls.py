"""A model that asks its members (Triton calls it business logic scripting) and averages. Becomes its `1/model.py`.

All that Triton's dynamic batching has joined are asked for at once, so that the members' batches are as large.
"""

import asyncio
import json

import numpy as np
import triton_python_backend_utils as pb_utils  # pyright: ignore[reportMissingImports]


class TritonPythonModel:
    def initialize(self, args):
        parameters = json.loads(args["model_config"])["parameters"]
        self._members = parameters["members"]["string_value"].split(",")

    async def execute(self, requests):
        return await asyncio.gather(*(self._answer(request) for request in requests))

    async def _answer(self, request):
        asked = [
            pb_utils.InferenceRequest(
                model_name=member, requested_output_names=["scores"], inputs=request.inputs()
            ).async_exec()
            for member in self._members
        ]
        answers = await asyncio.gather(*asked)
        failed = next((answer for answer in answers if answer.has_error()), None)
        if failed is not None:
            return pb_utils.InferenceResponse(error=failed.error())
        arrays = [pb_utils.get_output_tensor_by_name(answer, "scores").as_numpy() for answer in answers]
        mean = np.mean(arrays, axis=0, dtype=np.float32)
        return pb_utils.InferenceResponse([pb_utils.Tensor("scores", mean)])
