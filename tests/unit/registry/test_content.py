"""The allow-list by content: bytes must be what their type says."""

import asyncio
import time
from pathlib import Path

import pytest
from headrace_registry.artifacts import content
from headrace_registry.artifacts.content import Inspection
from headrace_registry.artifacts.refusals import RefusedError
from headrace_registry.decisions.files import ArtifactType, ModelFile
from headrace_servicekit.errors import InvalidArgument

EMPTY = ModelFile((), ())


async def read_nothing(_file, _size):
    return EMPTY


async def refuse(_file, _size):
    raise RefusedError("is not an ONNX model")


@pytest.fixture
def look_into(tmp_path):
    async def look(kind: ArtifactType, data: bytes, read=read_nothing):
        path = tmp_path / "file"
        path.write_bytes(data)
        return await Inspection(read).look_into(kind, path, len(data))

    return look


PARQUET = b"PAR1" + b"rows" + b"\x04\x00\x00\x00" + b"PAR1"


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        pytest.param(ArtifactType.JSON, b'{"labels": ["a", "b"]}', id="JSON"),
        pytest.param(ArtifactType.JSON, b"[]", id="JSON list"),
        pytest.param(ArtifactType.PARQUET, PARQUET, id="Parquet"),
    ],
)
async def test_what_is_of_its_type_is_taken(look_into, kind, data):
    assert await look_into(kind, data) is None


@pytest.mark.parametrize(
    ("kind", "data", "why"),
    [
        pytest.param(ArtifactType.JSON, b"", "empty", id="nothing"),
        pytest.param(ArtifactType.JSON, b"{'a': 1}", "not JSON", id="Python"),
        pytest.param(ArtifactType.JSON, b'{"a": NaN}', "NaN", id="NaN"),
        pytest.param(ArtifactType.JSON, b'"\xff"', "UTF-8", id="not UTF-8"),
        pytest.param(ArtifactType.JSON, b"[" * 100_000, "nested|not JSON", id="nested too deeply"),
        pytest.param(ArtifactType.JSON, b" " * (content.MAX_JSON_BYTES + 1), "at most", id="long JSON"),
        pytest.param(ArtifactType.PARQUET, b"PAR1", "short", id="Parquet without footer"),
        pytest.param(ArtifactType.PARQUET, b"PAR1" + b"x" * 20, "PAR1", id="Parquet cut"),
        pytest.param(ArtifactType.PARQUET, b"PAR1rows\xff\xff\xff\x7fPAR1", "footer", id="footer too large"),
        pytest.param(ArtifactType.ONNX, b"\x80\x04\x95abc", "pickle", id="pickle"),
        pytest.param(ArtifactType.ONNX, b"PK\x03\x04abc", "ZIP", id="PyTorch checkpoint"),
        pytest.param(ArtifactType.ONNX, b"\x89HDF\r\n", "HDF5", id="Keras"),
    ],
)
async def test_what_is_not_of_its_type_is_refused(look_into, kind, data, why):
    with pytest.raises(InvalidArgument, match=why) as caught:
        await look_into(kind, data)
    assert caught.value.reason == "ARTIFACT_TYPE_REFUSED"


async def test_an_onnx_file_is_read(look_into):
    assert await look_into(ArtifactType.ONNX, b"model") == EMPTY


async def test_an_onnx_file_that_is_none_is_refused(look_into):
    with pytest.raises(InvalidArgument, match="the file is not an ONNX model"):
        await look_into(ArtifactType.ONNX, b"model", refuse)


async def test_json_is_parsed_one_file_at_a_time(look_into, monkeypatch):
    at_once, most = 0, 0

    def parse(_file, _size):
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        time.sleep(0.01)
        at_once -= 1

    monkeypatch.setattr(content, "_check_json", parse)
    inspection = Inspection(read_nothing)
    await asyncio.gather(*(inspection.look_into(ArtifactType.JSON, Path("/dev/null"), 2) for _ in range(4)))
    assert most == 1
