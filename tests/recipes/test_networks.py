"""Networks as PyTorch and TensorFlow save them: converted, compared, served, answering as there."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest
from headrace_client.errors import InvalidArgument
from headrace_client.model_files import zipped
from headrace_client.recognition import Kind, recognise
from headrace_forge.conversion import process
from headrace_registry.artifacts import format_check
from headrace_registry.artifacts.refusals import RefusedError
from headrace_registry.decisions.files import ArtifactType

from tests.kit.clients.headrace_cli import GOOD, Headrace, headrace
from tests.recipes.conftest import made

__all__ = ["headrace"]

pytestmark = [pytest.mark.recipes, pytest.mark.timeout(1800)]

# Where an index has builds for CPUs alone, pip prefers them: 0.2 GB in the place of 3.
TORCH = ("torch==2.13.0", "onnx", "onnxscript", "onnxruntime")
TENSORFLOW = ("tensorflow-cpu", "tf2onnx", "onnxruntime")
SAVE_TORCH = """
import json
import torch
from torch import nn
from torch.export import Dim, export, save

torch.manual_seed(0)
digits = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10), nn.Softmax(dim=1)).eval()
images = torch.rand(5, 1, 8, 8)
rows = ({0: Dim("rows")},)
save(export(digits, (images[:2],), dynamic_shapes=rows), "digits.pt2")
save(export(digits, (images[:1],)), "one.pt2")
torch.jit.save(torch.jit.script(digits), "digits.pt")
torch.save(digits.state_dict(), "weights.pt")


class Ranker(nn.Module):
    def __init__(self):
        super().__init__()
        self.items = nn.Embedding(20, 4)

    def forward(self, user, unused, item):
        scores = (user * self.items(item)).sum(dim=1)
        return {"score": torch.sigmoid(scores), "raw": scores}


ranker = Ranker().eval()
taken = dict.fromkeys(("user", "unused", "item"), {0: Dim("rows")})
example = (torch.rand(3, 4), torch.rand(3, 1), torch.tensor([1, 19, 7]))
save(export(ranker, example, dynamic_shapes=taken), "ranker.pt2")
json.dump({"inputs": {"input": images.tolist()}}, open("images.json", "w"))
with torch.no_grad():
    json.dump(digits(images).tolist(), open("expected.json", "w"))
try:
    torch._inductor.aoti_compile_and_package(torch.export.load("digits.pt2"), package_path="compiled.pt2")
except Exception as error:  # a machine without a compiler
    print("not compiled:", error)
"""
SAVE_TENSORFLOW = """
import json, keras
keras.utils.set_random_seed(0)
network = keras.Sequential([
    keras.Input((4,), name="features"), keras.layers.Dense(8, activation="relu"), keras.layers.Dense(3, "softmax"),
])
network.export("saved", verbose=False)
rows = keras.random.normal((5, 4), seed=1)
json.dump({"rows": keras.ops.convert_to_numpy(rows).tolist(), "answers": network.predict(rows, verbose=0).tolist()},
          open("expected.json", "w"))
"""


def saved(python: str, script: str, folder: Path) -> Path:
    subprocess.run([python, "-W", "ignore", "-c", script], cwd=folder, check=True, timeout=600)
    return folder


@pytest.fixture(scope="module")
def torch_python() -> str:
    return str(made("torch", TORCH) / "bin" / "python")


@pytest.fixture(scope="module")
def modules(torch_python: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what PyTorch writes."""
    return saved(torch_python, SAVE_TORCH, tmp_path_factory.mktemp("torch"))


@pytest.fixture(scope="module")
def tensorflow_python() -> str:
    return str(made("tensorflow", TENSORFLOW) / "bin" / "python")


@pytest.fixture(scope="module")
def signatures(tensorflow_python: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what TensorFlow writes."""
    return saved(tensorflow_python, SAVE_TENSORFLOW, tmp_path_factory.mktemp("tensorflow"))


@pytest.mark.parametrize(
    ("name", "kind", "rows"),
    [
        pytest.param("digits.pt2", Kind.EXPORTED, 64, id="exported"),
        pytest.param("one.pt2", Kind.EXPORTED, 1, id="exported with one row"),
        pytest.param("ranker.pt2", Kind.EXPORTED, 64, id="exported with integers, an unused input and two outputs"),
    ],
)
def test_an_exported_program_is_converted_and_answers_as_before(
    modules: Path, torch_python: str, tmp_path: Path, name: str, kind: Kind, rows: int
) -> None:
    assert recognise(modules / name) is kind
    converted = process.convert(kind, modules / name, tmp_path, python=torch_python)
    assert (converted.rows, converted.generated) == (rows, True)
    assert converted.difference < 1e-5
    assert converted.framework.startswith("torch 2.")
    kept = json.loads(converted.validation.read_text())
    assert {len(values) for values in (*kept["inputs"].values(), *kept["outputs"].values())} == {rows}
    # An input that nothing uses is left out by some releases of the exporter.
    assert list(kept["inputs"]) == [one.name for one in onnx.load(converted.onnx).graph.input]


def test_torchscript_is_converted_with_rows_that_say_its_shapes(
    modules: Path, torch_python: str, tmp_path: Path
) -> None:
    assert recognise(modules / "digits.pt") is Kind.TORCHSCRIPT
    with pytest.raises(InvalidArgument, match=r"does not say the shapes of input: give rows"):
        process.convert(Kind.TORCHSCRIPT, modules / "digits.pt", tmp_path, python=torch_python)
    rows = modules / "images.json"
    converted = process.convert(Kind.TORCHSCRIPT, modules / "digits.pt", tmp_path, rows=rows, python=torch_python)
    assert (converted.rows, converted.generated) == (5, False)
    assert converted.difference < 1e-5
    with pytest.raises(InvalidArgument, match="apart from torch"):
        process.convert(
            Kind.TORCHSCRIPT, modules / "digits.pt", tmp_path, rows=rows, python=torch_python, max_difference=0
        )


def test_what_pytorch_writes_is_told_apart_here_and_in_the_registry(modules: Path) -> None:
    format_check.check(ArtifactType.TORCHSCRIPT, str(modules / "digits.pt"))
    with pytest.raises(RefusedError, match=r"saved with torch\.save"):
        format_check.check(ArtifactType.TORCHSCRIPT, str(modules / "weights.pt"))
    with pytest.raises(RefusedError, match="not compiled"):
        format_check.check(ArtifactType.PT2, str(modules / "digits.pt2"))
    with pytest.raises(InvalidArgument, match=r"torch\.export\.save"):
        recognise(modules / "weights.pt")
    if not (modules / "compiled.pt2").exists():
        pytest.skip("no compiler: AOTInductor wrote nothing")
    assert recognise(modules / "compiled.pt2") is Kind.PT2
    format_check.check(ArtifactType.PT2, str(modules / "compiled.pt2"))


def test_an_exported_program_is_served_and_answers_as_it_did(
    headrace: Headrace, modules: Path, torch_python: str
) -> None:
    file, python = str(modules / "digits.pt2"), ("--python", torch_python)
    refused = headrace.run("models", "register", headrace.model, "v1", file, *python)
    assert "--trust" in refused.stderr
    headrace("models", "register", headrace.model, "v1", file, "--trust", *python, *GOOD)
    headrace("models", "promote", headrace.model, "v1")
    images = json.loads((modules / "images.json").read_text())["inputs"]["input"]
    answer = headrace("predict", headrace.model, "--rows", json.dumps([{"input": image} for image in images]))
    (found,) = answer["outputs"].values()
    np.testing.assert_allclose(found, json.loads((modules / "expected.json").read_text()), rtol=1e-4, atol=1e-5)
    parameters = headrace("models", "show", headrace.model, "v1")["version"]["parameters"]
    assert parameters["framework"].startswith("torch ")
    assert len(parameters["source_sha256"]) == 64


def test_torchscript_is_registered_as_it_is_where_its_contract_is_stated(headrace: Headrace, modules: Path) -> None:
    contract = headrace.folder / "contract.json"
    contract.write_text(
        json.dumps(
            {
                "inputs": [{"name": "input", "datatype": "FP32", "shape": [1, 8, 8]}],
                "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [10]}],
            }
        )
    )
    file = str(modules / "digits.pt")
    headrace("models", "register", headrace.model, "v1", file, "--contract", str(contract), *GOOD)
    refused = headrace.run("models", "promote", headrace.model, "v1")
    assert "is torchscript, which no pool runs" in refused.stderr


def test_a_saved_model_is_converted_served_and_answers_as_it_did(
    headrace: Headrace, signatures: Path, tensorflow_python: str, tmp_path: Path
) -> None:
    folder = signatures / "saved"
    assert recognise(folder) is Kind.SAVEDMODEL
    format_check.check(ArtifactType.SAVEDMODEL, str(zipped(folder, tmp_path / "model.savedmodel.zip")))
    served = headrace(
        "models", "serve", str(folder), "--name", headrace.model, "--trust", "--python", tensorflow_python
    )
    assert served["version"] == "v1"
    told = json.loads((signatures / "expected.json").read_text())
    answer = headrace("predict", headrace.model, "--rows", json.dumps(told["rows"]))
    (found,) = answer["outputs"].values()
    np.testing.assert_allclose(found, told["answers"], rtol=1e-4, atol=1e-5)
    parameters = headrace("models", "show", headrace.model, "v1")["version"]["parameters"]
    assert parameters["framework"].startswith("tensorflow ")
    assert parameters["converter"].startswith("tf2onnx ")
