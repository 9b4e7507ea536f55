"""Folders of formats whose backends no wheel ships, loaded by a real Triton: its own validation of what is written.

The backends here stand in for NVIDIA's: they find the file of the model where it belongs, and answer by the names and
shapes that the configuration gives them. What NVIDIA's ask beyond that is in `tests/golden/triton`.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from headrace_runtime.backends.backend import LoadError, ModelFiles
from headrace_runtime.backends.server_links import channel
from headrace_runtime.backends.triton import TritonBackend
from headrace_runtime.backends.triton_repository import Repository
from headrace_runtime.contract import BatchDimension, Contract, TensorSpec
from headrace_runtime.formats import Format
from headrace_stack.settings import checkout_of_this_file

from tests.kit.models.backends import BUDGET, Rig, triton_backend
from tests.kit.models.triton import Triton, running_triton

STAND_IN = '''
import json
import os

import numpy as np
import triton_python_backend_utils as pb_utils

NUMPY = {"TYPE_FP32": np.float32, "TYPE_INT64": np.int64}


class TritonPythonModel:
    """Answers each output with the sum of each row of the first input, and the position of the output on top."""

    def initialize(self, args):
        self.config = json.loads(args["model_config"])
        folder = os.path.join(args["model_repository"], args["model_version"])
        names = {"pytorch": ("model.pt", "model.pt2"), "tensorflow": ("model.savedmodel",)}
        names |= {"tensorrt": ("model.plan",), "fil": ("xgboost.json",)}
        if not any(name in os.listdir(folder) for name in names[self.config["backend"]]):
            raise pb_utils.TritonModelException(f"no model in {os.listdir(folder)}")

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        first = pb_utils.get_input_tensor_by_name(request, self.config["input"][0]["name"]).as_numpy()
        batched = self.config["max_batch_size"] > 0
        outputs = []
        for at, told in enumerate(self.config["output"]):
            dims = told["reshape"].get("shape", []) if "reshape" in told else told["dims"]
            dims = [int(size) for size in dims]
            shape = (len(first), *dims) if batched else (len(first), *dims[1:])
            sums = first.reshape(len(first), -1).sum(axis=1) + at
            values = np.broadcast_to(sums.reshape(-1, *[1] * (len(shape) - 1)), shape)
            outputs.append(pb_utils.Tensor(told["name"], np.ascontiguousarray(values, NUMPY[told["data_type"]])))
        return pb_utils.InferenceResponse(outputs)
'''


class Before2603(Repository):
    """For a Triton whose core does not know the platform of AOTInductor: the wheel's, like all before release 26.03."""

    def write(self, files: ModelFiles) -> None:
        super().write(files)
        config = self.root / files.name / "config.pbtxt"
        config.write_text(config.read_text().replace('platform: "torch_aoti"\n', ""))


X = np.arange(8, dtype=np.float32).reshape(2, 4)
BATCHED = Contract(
    (TensorSpec("x", "FP32", (4,)), TensorSpec("hour", "INT64", ())),
    (TensorSpec("scores", "FP32", (3,)), TensorSpec("label", "INT64", ())),
)
TREES = Contract((TensorSpec("x", "FP32", (4,)),), (TensorSpec("score", "FP32", ()),))
ONE = BatchDimension.ONE
ROW_BY_ROW = Contract(
    (TensorSpec("x", "FP32", (4,), batch_dimension=ONE),), (TensorSpec("scores", "FP32", (3,), batch_dimension=ONE),)
)


@pytest.fixture(scope="module")
def triton(triton_command: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Triton]:
    """A Triton with stand-ins for the backends that its wheel lacks."""
    folder = tmp_path_factory.mktemp("triton")
    backends = folder / "backends"
    backends.mkdir()
    (backends / "python").symlink_to(checkout_of_this_file() / ".headrace/triton-venv/triton-backends/python")
    for name in ("pytorch", "tensorflow", "tensorrt", "fil"):
        (backends / name).mkdir()
        (backends / name / "model.py").write_text(STAND_IN)
    with running_triton(triton_command, folder, f"--backend-directory={backends}") as running:
        yield running


@pytest.mark.parametrize(
    ("kept_as", "model_file", "contract"),
    [
        pytest.param(Format.TORCHSCRIPT, "model.pt", BATCHED, id="TorchScript"),
        pytest.param(Format.TORCHSCRIPT, "model.pt", ROW_BY_ROW, id="TorchScript, one row at a time"),
        pytest.param(Format.PT2, "model.pt2", BATCHED, id="AOTInductor"),
        pytest.param(Format.SAVEDMODEL, "model.savedmodel.zip", BATCHED, id="SavedModel"),
        pytest.param(Format.TENSORRT, "model.plan", BATCHED, id="TensorRT"),
        pytest.param(Format.FIL, "xgboost.json", TREES, id="trees"),
    ],
)
async def test_triton_takes_the_folder_of_a_format_and_answers_by_the_names_of_the_contract(
    triton: Triton, tmp_path: Path, kept_as: Format, model_file: str, contract: Contract
):
    with zipfile.ZipFile(path := tmp_path / "file", "w") as archive:
        archive.writestr("saved_model.pb", b"x")
    files = ModelFiles("m--v1", path, contract, 8, kept_as=kept_as, model_file=model_file)
    rows = 1 if contract is ROW_BY_ROW else 2
    inputs = [X[:rows], np.zeros(rows, np.int64)][: len(contract.inputs)]
    async with channel(triton.address) as link:
        repository = Before2603(triton.repository, BUDGET)
        backend = TritonBackend(link, repository, execution_timeout_s=20, load_timeout_s=30)
        await backend.load(files)
        outputs = await Rig(backend, tmp_path).infer(files, inputs, rows)
        await backend.unload("m--v1")
    sums = X[:rows].sum(axis=1)
    assert list(outputs) == [spec.name for spec in contract.outputs]
    for at, spec in enumerate(contract.outputs):
        shape, data = outputs[spec.name]
        assert shape == (rows, *spec.row_shape)
        found = np.frombuffer(data, "<f4" if spec.datatype == "FP32" else "<i8").reshape(rows, -1)
        np.testing.assert_array_equal(found, np.tile((sums + at)[:, None], (1, found.shape[1])))


async def test_a_triton_that_does_not_know_a_format_is_said_to_be_too_old(triton: Triton, tmp_path: Path):
    (path := tmp_path / "file").write_bytes(b"x")
    async with triton_backend(triton) as backend:
        with pytest.raises(LoadError, match="this release of Triton does not take the configuration of its format"):
            await backend.load(ModelFiles("m--v2", path, BATCHED, 8, kept_as=Format.PT2, model_file="model.pt2"))
