"""Versions of other formats than ONNX through a real server: code, servers, and pools that run them or do not."""

import io
import json
import zipfile
from typing import Any

import pytest
from headrace.registry.v1 import registry_pb2
from headrace.tensor.v1 import tensor_pb2
from headrace_registry.artifacts.blobs import MemoryBlobs
from headrace_servicekit.errors import Code

from tests.kit.clients.refusals import refused
from tests.kit.registry.service import GOOD_METRICS, Registry, memory_registry

A = "a" * 64
Artifact = registry_pb2.Artifact
PYTHON, REQUIREMENTS, PT2 = Artifact.TYPE_PYTHON, Artifact.TYPE_REQUIREMENTS, Artifact.TYPE_PT2
SOURCE = b"class TritonPythonModel:\n    def execute(self, requests):\n        return []\n"
CONTRACT = tensor_pb2.ServingContract(
    inputs=[tensor_pb2.TensorSpec(name="x", datatype="FP32", shape=[4])],
    outputs=[tensor_pb2.TensorSpec(name="y", datatype="FP32", shape=[1])],
)


@pytest.fixture
async def allowing():
    async with memory_registry(allow_code=True, oip_targets=("models.example:8001",)) as registry:
        yield registry


async def code(registry: Registry, content: bytes, kind: Any = PYTHON) -> str:
    request = registry_pb2.UploadCodeRequest(type=kind, content=content)
    return (await registry.stub.UploadCode(request, timeout=60)).sha256


async def create(registry: Registry, format: Any, *artifacts: Artifact, **fields: Any) -> registry_pb2.ModelVersion:  # noqa: A002
    version = registry_pb2.ModelVersion(
        name="models/m/versions/v1",
        format=format,
        artifacts=artifacts,
        metrics=[registry_pb2.Metric(name=name, value=value) for name, value in GOOD_METRICS.items()],
        **{"contract": CONTRACT, **fields},
    )
    request = registry_pb2.CreateModelVersionRequest(version=version)
    return (await registry.stub.CreateModelVersion(request, timeout=20)).version


async def pools(registry: Registry, **formats: list[Any]) -> None:
    request = registry_pb2.ReportPoolsRequest()
    for name, runs in formats.items():
        request.pools.add(name=name, formats=runs)
    await registry.stub.ReportPools(request, timeout=20)


async def test_a_python_version_is_registered_with_its_source_requirements_and_stated_contract(
    allowing,
):
    source = await code(allowing, SOURCE)
    locked = await code(allowing, f"numpy==2.3.1 --hash=sha256:{A}\n".encode(), REQUIREMENTS)
    files = (
        Artifact(name="model.py", type=PYTHON, sha256=source),
        Artifact(name="requirements.txt", type=REQUIREMENTS, sha256=locked),
        Artifact(
            name="forest.joblib",
            type=Artifact.TYPE_OPAQUE,
            sha256=await code(allowing, b"\x80\x05K\x01.", Artifact.TYPE_OPAQUE),
        ),
    )
    version = await create(allowing, registry_pb2.FORMAT_PYTHON, *files)
    assert (version.format, len(version.artifacts)) == (registry_pb2.FORMAT_PYTHON, 3)
    assert await create(allowing, registry_pb2.FORMAT_PYTHON, *files) == version


async def test_expected_outputs_of_code_are_read_before_a_batcher_needs_them(allowing):
    files = [Artifact(name="model.py", type=PYTHON, sha256=await code(allowing, SOURCE))]
    sha256 = await allowing.upload(b'[{"x": 1}]', Artifact.TYPE_JSON)
    files.append(Artifact(name="validation.json", type=Artifact.TYPE_JSON, sha256=sha256))
    error = await refused(create(allowing, registry_pb2.FORMAT_PYTHON, *files))
    assert (error.reason, error.violations[0].field) == ("VALIDATION_UNREADABLE", "version.artifacts[1]")


async def test_a_file_that_does_not_say_how_it_takes_rows_has_it_stated(allowing):
    one = tensor_pb2.TensorSpec.BATCH_DIMENSION_ONE
    stated = tensor_pb2.ServingContract()
    stated.CopyFrom(CONTRACT)
    stated.inputs[0].batch_dimension = stated.outputs[0].batch_dimension = one
    with zipfile.ZipFile(module := io.BytesIO(), "w") as archive:
        for name in ("m/data.pkl", "m/constants.pkl", "m/code/a.py"):
            archive.writestr(name, b"")
    sha256 = await allowing.upload(module.getvalue(), Artifact.TYPE_TORCHSCRIPT)
    file = Artifact(name="model.pt", type=Artifact.TYPE_TORCHSCRIPT, sha256=sha256)
    version = await create(allowing, registry_pb2.FORMAT_TORCHSCRIPT, file, contract=stated)
    assert [spec.batch_dimension for spec in (*version.contract.inputs, *version.contract.outputs)] == [one, one]
    # One row at a time, as where an ONNX file says it.
    assert version.serving.max_batch_rows == 1


async def test_a_version_that_says_no_format_is_onnx(allowing):
    assert (await allowing.register("m", "v1")).format == registry_pb2.FORMAT_ONNX


async def test_a_file_that_does_not_say_its_contract_needs_it_stated(allowing):
    model = Artifact(name="model.py", type=PYTHON, sha256=await code(allowing, SOURCE))
    error = await refused(create(allowing, registry_pb2.FORMAT_PYTHON, model, contract=None))
    assert error.code is Code.INVALID_ARGUMENT
    assert "state name, datatype and shape" in error.public_message


async def test_code_comes_by_its_own_call_only(allowing):
    for kind in (PYTHON, REQUIREMENTS, PT2, Artifact.TYPE_OPAQUE):
        error = await refused(allowing.upload(SOURCE, kind))
        assert (error.code, error.reason) == (Code.INVALID_ARGUMENT, "ARTIFACT_TYPE_REFUSED")
        assert "registry.code" in error.public_message
        begun = registry_pb2.BeginUploadRequest(type=kind, sha256=A, size_bytes=3)
        assert (await refused(allowing.stub.BeginUpload(begun))).reason == "ARTIFACT_TYPE_REFUSED"
    assert (await refused(code(allowing, b"{}", Artifact.TYPE_JSON))).reason == "ARTIFACT_TYPE_REFUSED"


async def test_a_requirement_without_an_exact_version_is_refused_by_its_line(allowing):
    error = await refused(code(allowing, b"# first\nrequests\n", REQUIREMENTS))
    assert (error.code, error.reason) == (Code.INVALID_ARGUMENT, "ARTIFACT_TYPE_REFUSED")
    assert "line 2: 'requests' has no exact version" in error.public_message


async def test_an_installation_takes_no_code_unless_its_settings_say_so(registry):
    error = await refused(code(registry, SOURCE))
    assert (error.code, error.reason) == (Code.FAILED_PRECONDITION, "CODE_NOT_ALLOWED")
    model = Artifact(name="model.py", type=PYTHON, sha256=A)
    assert (await refused(create(registry, registry_pb2.FORMAT_PYTHON, model))).reason == "CODE_NOT_ALLOWED"
    # A package of AOTInductor is a shared library.
    compiled = Artifact(name="model.pt2", type=PT2, sha256=A)
    assert (await refused(create(registry, registry_pb2.FORMAT_PT2, compiled))).reason == "CODE_NOT_ALLOWED"


async def test_compiled_code_is_registered_where_code_is(allowing):
    with zipfile.ZipFile(package := io.BytesIO(), "w") as archive:
        archive.writestr("m/data/aotinductor/model/a.so", b"")
    model = Artifact(name="model.pt2", type=PT2, sha256=await code(allowing, package.getvalue(), PT2))
    assert (await create(allowing, registry_pb2.FORMAT_PT2, model)).format == registry_pb2.FORMAT_PT2


@pytest.mark.parametrize(
    ("server", "problem"),
    [
        ({"target": "models.example:8001", "model": "digits"}, ""),
        ({"target": "127.0.0.1:5432", "model": "digits"}, "SERVER_NOT_ALLOWED"),
        ({"target": "models.example:8001"}, "server.json names no model"),
        ({"target": "models.example:8001", "model": "digits", "command": "x"}, "a field that is none"),
        (["models.example:8001"], "no object"),
    ],
)
async def test_a_version_names_a_server_that_the_settings_allow(allowing, server, problem):
    sha256 = await allowing.upload(json.dumps(server).encode(), Artifact.TYPE_JSON)
    file = Artifact(name="server.json", type=Artifact.TYPE_JSON, sha256=sha256)
    if not problem:
        assert (await create(allowing, registry_pb2.FORMAT_OIP, file)).format == registry_pb2.FORMAT_OIP
        return
    error = await refused(create(allowing, registry_pb2.FORMAT_OIP, file))
    if problem == "SERVER_NOT_ALLOWED":
        assert (error.code, error.reason) == (Code.FAILED_PRECONDITION, problem)
        assert "models.example:8001" in error.public_message
    else:
        assert error.code is Code.INVALID_ARGUMENT


async def test_a_version_that_no_pool_runs_is_not_promoted_and_the_refusal_names_the_pools(allowing):
    model = Artifact(name="model.py", type=PYTHON, sha256=await code(allowing, SOURCE))
    await create(allowing, registry_pb2.FORMAT_PYTHON, model)
    await pools(
        allowing, default=[registry_pb2.FORMAT_ONNX], gpu=[registry_pb2.FORMAT_ONNX, registry_pb2.FORMAT_TENSORRT]
    )
    error = await refused(allowing.promote("m", "v1"))
    assert (error.code, error.reason) == (Code.FAILED_PRECONDITION, "NO_POOL_FOR_FORMAT")
    assert error.public_message.endswith("which no pool runs: 'default' runs onnx; 'gpu' runs onnx, tensorrt")
    await pools(allowing, default=[registry_pb2.FORMAT_ONNX, registry_pb2.FORMAT_PYTHON])
    assert (await allowing.promote("m", "v1")).model.production_version == "v1"


async def test_what_no_pool_is_known_for_is_promoted(allowing):
    model = Artifact(name="model.py", type=PYTHON, sha256=await code(allowing, SOURCE))
    await create(allowing, registry_pb2.FORMAT_PYTHON, model)
    assert (await allowing.promote("m", "v1")).model.production_version == "v1"


async def test_a_server_file_whose_bytes_are_lost_is_no_fault_of_the_caller():
    blobs, told = MemoryBlobs(), json.dumps({"target": "models.example:8001", "model": "digits"}).encode()
    async with memory_registry(blobs=blobs, oip_targets=("models.example:8001",)) as registry:
        sha256 = await registry.upload(told, Artifact.TYPE_JSON)
        file = Artifact(name="server.json", type=Artifact.TYPE_JSON, sha256=sha256)
        blobs.kept.clear()
        error = await refused(create(registry, registry_pb2.FORMAT_OIP, file))
        assert error.code is Code.UNAVAILABLE
        await registry.upload(told, Artifact.TYPE_JSON)
        await create(registry, registry_pb2.FORMAT_OIP, file)
