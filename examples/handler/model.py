"""A handler as a version of format `python`: features are joined, scaled and scored, and the best labels named."""

import json
import os

import numpy as np
import triton_python_backend_utils as pb_utils  # pyright: ignore[reportMissingImports] - where it runs, it is there

INPUTS = ("user_embedding", "item_features", "context_features")
TOP = 3


class TritonPythonModel:
    """Scores each label for a user and an item in a context."""

    def initialize(self, args):
        """Read weights, scales and labels from the file beside this one."""
        folder = os.path.join(args["model_repository"], args["model_version"])
        with open(os.path.join(folder, "weights.json")) as file:
            told = json.load(file)
        self._mean, self._scale = (np.array(told[name], np.float32) for name in ("mean", "scale"))
        self._weights, self._bias = (np.array(told[name], np.float32) for name in ("weights", "bias"))
        self._labels = np.array([label.encode() for label in told["labels"]], dtype=object)

    def execute(self, requests):
        """Answer each request, all of its rows at once."""
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        given = [pb_utils.get_input_tensor_by_name(request, name).as_numpy() for name in INPUTS]
        scaled = (np.concatenate(given, axis=1) - self._mean) / self._scale
        scores = 1 / (1 + np.exp(-(scaled @ self._weights + self._bias)))
        # The sort is stable, so that of two equal scores the first label is named, as ONNX's TopK does.
        best = np.argsort(-scores, axis=1, kind="stable")[:, :TOP]
        outputs = {"scores": np.take_along_axis(scores, best, axis=1), "labels": self._labels[best]}
        return pb_utils.InferenceResponse([pb_utils.Tensor(name, value) for name, value in outputs.items()])
