"""Models that are served by their framework: the files, what they answer, and what they import."""

from __future__ import annotations

import json
import pickle
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from headrace.tensor.v1 import tensor_pb2
from headrace_client.cli.sources import Source, with_tensors
from headrace_client.errors import InvalidArgument
from headrace_forge.conversion import answering, process, requirements, sandbox

HALVES = """
import numpy as np

class Halves:
    n_features_in_ = 2
    classes_ = np.array(["low", "high"])

    def predict(self, rows):
        return self.classes_[self.predict_proba(rows).argmax(axis=1)]

    def predict_proba(self, rows):
        if not (rows >= 0).all():
            raise ValueError("takes what is positive")
        high = rows[:, 0] / rows.sum(axis=1)
        return np.column_stack([1 - high, high])
"""


@pytest.fixture
def pickled(tmp_path: Path) -> tuple[Path, Path]:
    """A pickle of a class of someone's own, and the module that has it."""
    module = types.ModuleType("halves_of_ours")
    exec(HALVES, module.__dict__)
    module.Halves.__module__ = module.__name__
    sys.modules[module.__name__] = module
    try:
        (path := tmp_path / "my model.pkl").write_bytes(pickle.dumps(module.Halves()))
    finally:
        del sys.modules[module.__name__]
    (source := tmp_path / "halves_of_ours.py").write_text(HALVES)
    return path, source


def as_code(path: Path, folder: Path, *sources: Path) -> dict:
    (folder / "sources").mkdir(parents=True)
    for source in sources:
        (folder / "sources" / source.name).write_text(source.read_text())
    worker = str(Path(process.__file__).with_name("worker.py"))
    arguments = ("pickle", str(path), str(folder), "--as-code")
    return dict(sandbox.run(sys.executable, worker, arguments, folder, timeout_s=120, undone="not made"))


def test_a_class_of_ones_own_is_a_folder_of_code_with_rows_that_it_answers(pickled, tmp_path: Path) -> None:
    coded = as_code(*pickled[:1], tmp_path / "made", pickled[1])
    version = tmp_path / "made" / "version"
    assert {one.name for one in version.iterdir()} == {
        *("model.py", "answering.py", "estimators.py", "as_code.json", "my_model.pkl")
    }
    assert coded["contract"]["inputs"] == [{"name": "features", "datatype": "FP64", "shape": [2]}]
    assert coded["contract"]["outputs"] == [
        {"name": "label", "datatype": "BYTES", "shape": []},
        {"name": "probabilities", "datatype": "FP32", "shape": [2]},
    ]
    assert any(one.startswith("numpy==") for one in coded["packages"])
    kept = json.loads((tmp_path / "made" / "validation.json").read_text())
    assert len(kept["inputs"]["features"]) == len(kept["outputs"]["label"]) == 64
    assert min(min(row) for row in kept["inputs"]["features"]) >= 0


def test_a_class_whose_module_is_not_there_asks_for_it(pickled, tmp_path: Path) -> None:
    failed = as_code(pickled[0], tmp_path / "made")["failed"]
    assert "needs the module 'halves_of_ours'" in failed
    assert "--as-code --artifact halves_of_ours.py=FILE" in failed


class Sums:
    """Columns of a table, added."""

    def predict(self, rows):
        return rows["a"].to_numpy() + rows["b"].map({"one": 1, "two": 2}).to_numpy()


def test_columns_become_a_table_and_what_is_predicted_an_output() -> None:
    pytest.importorskip("pandas")
    layout = {"columns": ["a", "b"], "names": None, "texts": False, "categories": []}
    inputs = {"a": np.array([[1.0], [2.0]]), "b": np.array([["one"], ["two"]], object)}
    found = answering.outputs(Sums(), inputs, layout)
    assert {name: values.tolist() for name, values in found.items()} == {"prediction": [2.0, 4.0]}


def test_requirements_name_each_wheel_by_its_hash() -> None:
    report = {
        "install": [
            {
                "metadata": {"name": "catboost", "version": "1.2.10"},
                "download_info": {"archive_info": {"hashes": {"sha256": "ab" * 32}}},
            }
        ]
    }
    assert list(requirements.lines(report)) == [f"catboost==1.2.10 --hash=sha256:{'ab' * 32}\n"]
    with pytest.raises(InvalidArgument, match="no package of an exact version"):
        requirements.locked(["--index-url=http://elsewhere"], sys.executable)


def test_a_stated_contract_goes_before_that_of_the_code() -> None:
    made = tensor_pb2.ServingContract(inputs=[tensor_pb2.TensorSpec(name="features", datatype="FP64", shape=[2])])
    source = Source(Path("version"), {}, contract=made, kept_as="python")
    labelled = with_tensors(tensor_pb2.ServingContract(labels=["low", "high"]), source)
    assert (labelled.inputs[0].datatype, list(labelled.labels)) == ("FP64", ["low", "high"])
    stated = tensor_pb2.ServingContract(inputs=[tensor_pb2.TensorSpec(name="x")])
    assert with_tensors(stated, source).inputs[0].name == "x"
