"""A server of the Open Inference Protocol with habits of its own: another service name, typed contents, columns."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest
from headrace_runtime.backends.backend import BackendLost, LoadError, ModelCrashed, ModelError, ModelFiles
from headrace_runtime.backends.oip import SERVICE, OipBackend, ServerNames
from headrace_runtime.backends.oip_servers import OipServers
from headrace_runtime.contract import Contract, TensorSpec
from headrace_runtime.formats import Format
from headrace_runtime.shapes import FIXED, layout_of
from headrace_servicekit.http2.channel import Channel
from headrace_servicekit.testing import eventually
from headrace_servicekit.tls import Tls, client_context, server_credentials
from tritonclient.grpc import service_pb2

from tests.kit.wire.certificates import Authority

_pb: Any = service_pb2

TORCHSERVE = "org.pytorch.serve.grpc.openinference.GRPCInferenceService"
CONTRACT = Contract((TensorSpec("x", "FP32", ()),), (TensorSpec("y", "FP32", ()), TensorSpec("text", "BYTES", ())))
HERE = "127.0.0.1:0"
X = np.array([1.0, 2.0, 3.0], dtype="<f4")


class Server:
    """Answers each method with what the test put there; keeps the last prediction asked of it."""

    def __init__(self, service: str) -> None:
        self.asked: Any = None
        self.metadata: Any = None
        self.failure: tuple[grpc.StatusCode, str] | None = None
        self.answer: Any = None
        self.ready = True
        self.gate = asyncio.Event()
        self.gate.set()
        calls = {
            "ServerLive": self._live,
            "ModelReady": self._ready,
            "ModelMetadata": self._metadata,
            "ModelInfer": self._infer,
        }
        self.handler = grpc.method_handlers_generic_handler(
            service,
            {
                name: grpc.unary_unary_rpc_method_handler(
                    call,
                    request_deserializer=getattr(_pb, f"{name}Request").FromString,
                    response_serializer=getattr(_pb, f"{name}Response").SerializeToString,
                )
                for name, call in calls.items()
            },
        )

    async def _live(self, _request: Any, _context: Any) -> Any:
        return _pb.ServerLiveResponse(live=True)

    async def _ready(self, request: Any, context: Any) -> Any:
        if request.name != "digits":
            await context.abort(grpc.StatusCode.INTERNAL, "Unknown model")
        return _pb.ModelReadyResponse(ready=self.ready)

    async def _metadata(self, _request: Any, context: Any) -> Any:
        if self.metadata is None:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "no metadata")
        return self.metadata

    async def _infer(self, request: Any, context: Any) -> Any:
        self.asked = request
        await self.gate.wait()
        if self.failure is not None:
            await context.abort(*self.failure)
        if self.answer is not None:
            return self.answer
        answer = _pb.ModelInferResponse()
        y = answer.outputs.add(name="y", datatype="FP32", shape=[len(X), 1])
        y.contents.fp32_contents.extend(2 * X)
        text = answer.outputs.add(name="text", datatype="BYTES", shape=[len(X)])
        text.contents.bytes_contents.extend([b"a", b"", b"ccc"])
        return answer


@asynccontextmanager
async def listening(
    service: str, credentials: grpc.ServerCredentials | None = None
) -> AsyncIterator[tuple[Server, str]]:
    server, listener = Server(service), grpc.aio.server()
    listener.add_generic_rpc_handlers((server.handler,))
    port = listener.add_secure_port(HERE, credentials) if credentials else listener.add_insecure_port(HERE)
    await listener.start()
    try:
        yield server, f"127.0.0.1:{port}"
    finally:
        await listener.stop(None)


@asynccontextmanager
async def serving(service: str = TORCHSERVE) -> AsyncIterator[tuple[Server, OipBackend]]:
    async with listening(service) as (server, address), Channel(address) as channel:
        names = ServerNames("{model}", "{version}")
        yield (
            server,
            OipBackend(
                channel,
                names=names,
                execution_timeout_s=5,
                service=TORCHSERVE,
                service_setting="BATCHER_OIP_SERVICE",
            ),
        )


def files(name: str = "digits--3") -> ModelFiles:
    return ModelFiles(name, None, CONTRACT, 32)  # type: ignore[arg-type]  # it needs no file


async def infer(backend: OipBackend | OipServers) -> list[tuple[str, tuple[int, ...], bytes]]:
    outputs = await backend.infer("digits--3", layout_of(CONTRACT, FIXED), len(X), [X.tobytes()])
    return [(one.name, one.shape, bytes(one.data)) for one in outputs]


async def test_a_model_and_its_version_are_asked_for_by_their_names_there():
    async with serving() as (server, backend):
        await backend.load(files())
        assert await infer(backend) == [
            ("y", (3,), (2 * X).tobytes()),
            ("text", (3,), b"\x01\0\0\0a" + b"\0\0\0\0" + b"\x03\0\0\0ccc"),
        ]
        assert (server.asked.model_name, server.asked.model_version) == ("digits", "3")
        assert list(server.asked.inputs[0].shape) == [3]


async def test_one_value_per_row_is_a_column_where_the_server_says_so():
    async with serving() as (server, backend):
        server.metadata = _pb.ModelMetadataResponse(
            inputs=[_pb.ModelMetadataResponse.TensorMetadata(name="x", datatype="FP32", shape=[-1, 1])]
        )
        await backend.load(files())
        await infer(backend)
        assert list(server.asked.inputs[0].shape) == [3, 1]


@pytest.mark.parametrize(
    ("name", "datatype", "reason"),
    [
        ("z", "FP32", "has no input 'x'"),
        ("x", "FP64", "input 'x' of the server's 'digits', version '3' is FP64, not FP32"),
    ],
)
async def test_a_model_that_is_not_the_registered_one_is_refused(name, datatype, reason):
    async with serving() as (server, backend):
        server.metadata = _pb.ModelMetadataResponse(
            inputs=[_pb.ModelMetadataResponse.TensorMetadata(name=name, datatype=datatype, shape=[-1])]
        )
        with pytest.raises(LoadError, match=reason):
            await backend.load(files())


async def test_a_model_that_is_not_ready_or_not_known_is_not_there():
    async with serving() as (server, backend):
        server.ready = False
        for name in ("digits--3", "fraud--1"):
            with pytest.raises(LoadError, match="the server does not have it"):
                await backend.load(files(name))


@pytest.mark.parametrize(
    ("code", "expected"),
    [(grpc.StatusCode.NOT_FOUND, ModelCrashed), (grpc.StatusCode.INTERNAL, ModelError)],
)
async def test_a_failure_says_whether_the_model_is_gone_or_did_not_like_the_input(code, expected):
    async with serving() as (server, backend):
        await backend.load(files())
        server.failure = (code, "no")
        with pytest.raises(expected):
            await infer(backend)


async def test_values_that_are_none_of_their_datatype_are_the_models_failure():
    async with serving() as (server, backend):
        await backend.load(files())
        server.answer = _pb.ModelInferResponse()
        server.answer.outputs.add(name="y", datatype="INT8", shape=[1]).contents.int_contents.append(300)
        with pytest.raises(ModelError, match="no INT8"):
            await infer(backend)


async def test_a_server_that_calls_the_service_otherwise_is_not_there_and_the_setting_is_named():
    async with serving("inference.GRPCInferenceService") as (_, backend):
        with pytest.raises(BackendLost, match=f"no '{TORCHSERVE}': see BATCHER_OIP_SERVICE"):
            await backend.ready()


async def test_who_executes_while_a_version_is_found_again_on_its_server_is_answered(tmp_path):
    async with listening(SERVICE) as (server, address), OipServers(execution_timeout_s=5) as backend:
        path = tmp_path / "server.json"
        path.write_text(json.dumps({"target": address, "model": "digits", "version": "3"}))
        there = ModelFiles("digits--3", path, CONTRACT, 32, kept_as=Format.OIP, model_file="server.json")
        await backend.load(there)
        server.gate.clear()
        executing = asyncio.create_task(infer(backend))
        await eventually(lambda: server.asked is not None)
        await backend.load(replace(there, max_rows=64))
        server.gate.set()
        assert (await executing)[0] == ("y", (3,), (2 * X).tobytes())


async def test_servers_are_called_by_tls_where_their_authority_is_known(tmp_path: Path):
    authority, foreign = Authority(tmp_path), Authority(tmp_path, "foreign")
    pem = authority.issue("server")
    path = tmp_path / "server.json"
    there = ModelFiles("digits--3", path, CONTRACT, 32, kept_as=Format.OIP, model_file="server.json")
    async with listening(SERVICE, server_credentials(Tls(pem.cert, pem.key))) as (_, address):
        path.write_text(json.dumps({"target": address, "model": "digits", "version": "3"}))
        async with OipServers(execution_timeout_s=5, tls=client_context(Tls(ca=authority.ca))) as backend:
            await backend.load(there)
            assert (await infer(backend))[0] == ("y", (3,), (2 * X).tobytes())
        for tls in (None, client_context(Tls(ca=foreign.ca))):
            async with OipServers(execution_timeout_s=5, tls=tls) as backend:
                with pytest.raises(LoadError, match="does not answer"):
                    await backend.load(there)
