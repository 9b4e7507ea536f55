"""A model as its framework saved it, answering as it does there: written by `headrace models serve --as-code`.

`as_code.json` says the file, how it is read, and how tensors become rows; requirements.txt has the packages.
"""

import json
import pathlib

import answering  # pyright: ignore[reportMissingImports] - these three lie beside it where it runs
import estimators  # pyright: ignore[reportMissingImports]
import numpy as np
import triton_python_backend_utils as pb_utils  # pyright: ignore[reportMissingImports]


class TritonPythonModel:
    def initialize(self, args):
        folder = pathlib.Path(args["model_repository"], args["model_version"])
        self._layout = json.loads((folder / "as_code.json").read_text())
        self._model = estimators.load(self._layout["kind"], folder / self._layout["file"], known=False)

    def execute(self, requests):
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        inputs = {}
        for name in self._layout["columns"] or ["features"]:
            values = pb_utils.get_input_tensor_by_name(request, name).as_numpy()
            if values.dtype == object:
                values = np.array([text.decode() for text in values.ravel()], dtype=object).reshape(values.shape)
            inputs[name] = values
        found = answering.outputs(self._model, inputs, self._layout)
        texts = {name: [one.encode() for one in values] for name, values in found.items() if values.dtype == object}
        found |= {name: np.array(values, dtype=object) for name, values in texts.items()}
        return pb_utils.InferenceResponse([pb_utils.Tensor(name, values) for name, values in found.items()])
