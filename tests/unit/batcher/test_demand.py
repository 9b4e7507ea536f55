"""A demand becomes data, with defaults filled in and what cannot be loaded named; the last one is kept on disk."""

from collections.abc import Sequence

import pytest
from google.protobuf import duration_pb2
from headrace.registry.v1 import registry_pb2
from headrace.router.v1 import control_pb2
from headrace.tensor.v1 import tensor_pb2
from headrace_batcher.decisions.padded_sizes import Padding
from headrace_batcher.decisions.policy import Limits
from headrace_batcher.decisions.version_state import Wanted
from headrace_batcher.loading.demand import DemandWatch, from_proto, limits
from headrace_runtime.formats import Format

from tests.kit.router.fake_control import resolved_version

BOUNDS = Limits(max_queue_rows=77)
ONNX = registry_pb2.Artifact(name="model.onnx", type=registry_pb2.Artifact.TYPE_ONNX, sha256="ab" * 32)
JSON = registry_pb2.Artifact(name="labels.json", type=registry_pb2.Artifact.TYPE_JSON, sha256="cd" * 32)


def wanted(**changes) -> control_pb2.WantedVersion:
    version = resolved_version("digits", "v1", artifacts=[JSON, ONNX])
    for field, value in changes.items():
        version.ClearField(field)
        if isinstance(value, int):
            setattr(version, field, value)
        else:
            getattr(version, field).MergeFrom(value)
    return control_pb2.WantedVersion(version=version, need=control_pb2.WantedVersion.NEED_ACTIVE)


def test_a_wanted_version_becomes_data():
    found = from_proto(wanted(), BOUNDS)
    assert (found.name, found.sha256, found.problem, found.device) == ("digits--v1", ONNX.sha256, "", "")
    assert found.contract.inputs[0].row_shape == (4,)
    assert not found.contract.inputs[0].nan_allowed


@pytest.mark.parametrize(
    ("serving", "expected"),
    [
        pytest.param({}, Limits(max_queue_rows=77), id="nothing said"),
        pytest.param(
            {"max_batch_rows": 12, "instances": 3},
            Limits(max_rows=12, preferred_rows=(8,), instances=3, max_queue_rows=77),
            id="a smaller batch drops the larger preferred sizes",
        ),
        pytest.param(
            {"preferred_batch_rows": [4, 64], "max_wait": duration_pb2.Duration()},
            Limits(preferred_rows=(4,), max_wait_s=0.0, max_queue_rows=77),
            id="a wait of zero is not the default",
        ),
    ],
)
def test_limits_are_what_a_version_says_and_the_rest_by_default(serving, expected):
    assert limits(registry_pb2.ServingSettings(**serving), BOUNDS) == expected


def test_what_is_pinned_and_how_rows_are_padded_is_what_the_settings_say():
    padding = registry_pb2.ServingSettings.Padding(sizes=[8, 32], values={"ids": 1.0})
    found = from_proto(wanted(serving=registry_pb2.ServingSettings(warm=True, padding=padding)), BOUNDS)
    assert (found.pinned, found.padding) == (True, Padding((8, 32), (("ids", 1.0),)))
    assert (from_proto(wanted(), BOUNDS).pinned, from_proto(wanted(), BOUNDS).padding) == (False, None)


def test_what_can_never_be_loaded_is_named():
    text = tensor_pb2.TensorSpec(name="x", datatype="STRING")
    assert "0 files of a model of format onnx" in from_proto(wanted(artifacts=[JSON]), BOUNDS).problem
    assert "'STRING'" in from_proto(wanted(contract=tensor_pb2.ServingContract(inputs=[text])), BOUNDS).problem


@pytest.mark.parametrize("content", [None, b"\xff\xff\xff rubbish"])
def test_without_a_readable_demand_on_disk_there_is_none(tmp_path, content):
    path = tmp_path / "demand.pb"
    if content is not None:
        path.write_bytes(content)
    applied: list[Sequence[Wanted]] = []
    watch = DemandWatch(None, "default", path, BOUNDS, applied.append, lambda connected, reason: None)
    assert not watch.restore()
    assert applied == []


def test_the_demand_on_disk_is_applied_at_the_start(tmp_path):
    path = tmp_path / "demand.pb"
    path.write_bytes(control_pb2.WatchDemandResponse(versions=[wanted()]).SerializeToString())
    applied: list[Sequence[Wanted]] = []
    watch = DemandWatch(None, "default", path, BOUNDS, applied.append, lambda connected, reason: None)
    assert watch.restore()
    assert [[one.name for one in versions] for versions in applied] == [["digits--v1"]]


PYTHON = registry_pb2.Artifact.TYPE_PYTHON
SOURCE = registry_pb2.Artifact(name="model.py", type=PYTHON, sha256="p" * 64, size_bytes=9)
BESIDE = registry_pb2.Artifact(name="scaling.py", type=PYTHON, sha256="q" * 64)


def test_code_is_loaded_with_all_of_its_files():
    found = from_proto(wanted(artifacts=[BESIDE, SOURCE, JSON], format=registry_pb2.FORMAT_PYTHON), BOUNDS, set(Format))
    assert (found.kept_as, found.sha256, found.model_file, found.problem) == (Format.PYTHON, "p" * 64, "model.py", "")
    assert dict(found.others) == {"scaling.py": "q" * 64, JSON.name: JSON.sha256}
    assert set(found.all_sha256) == {"p" * 64, "q" * 64, JSON.sha256}


def test_a_format_that_this_pool_does_not_run_is_named_with_those_that_it_does():
    found = from_proto(wanted(artifacts=[SOURCE], format=registry_pb2.FORMAT_PYTHON), BOUNDS, {Format.OIP, Format.ONNX})
    assert found.problem == "it is python, and this pool runs oip, onnx"
    assert "of a later release" in from_proto(wanted(format=99), BOUNDS).problem


@pytest.mark.parametrize(
    ("offered", "kept_as", "sha256"),
    [({Format.ONNX}, Format.ONNX, "o" * 64), ({Format.ONNX, Format.FIL}, Format.FIL, "t" * 64)],
)
def test_trees_run_as_they_are_where_that_is_run_and_as_onnx_elsewhere(offered, kept_as, sha256):
    trees = registry_pb2.Artifact(name="xgboost.json", type=registry_pb2.Artifact.TYPE_TREES, sha256="t" * 64)
    onnx = registry_pb2.Artifact(name="model.onnx", type=registry_pb2.Artifact.TYPE_ONNX, sha256="o" * 64)
    found = from_proto(wanted(artifacts=[trees, onnx], format=registry_pb2.FORMAT_FIL), BOUNDS, offered)
    assert (found.kept_as, found.sha256, found.problem) == (kept_as, sha256, "")
