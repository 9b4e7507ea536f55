"""The simulator as a process: alone, or in front of a real Triton.

async with running_simulator(folder, f"--model-repository={models}") as simulator:
    await simulator.put("late", kind="slow", base_ms=500)
"""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import httpx
from google.protobuf import text_format
from headrace_servicekit.testing import eventually
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc

COMMAND = (sys.executable, "-P", "-m", "headrace_simulator")
CONTROL_PORT = "--control=127.0.0.1:0"
CONFIG = """
name: "digits--v1" backend: "onnxruntime" max_batch_size: 32
input { name: "image" data_type: TYPE_FP32 dims: 4 }
output { name: "scores" data_type: TYPE_FP32 dims: 3 }
output { name: "label" data_type: TYPE_INT64 dims: 1 }
instance_group { count: 4 kind: KIND_CPU }
"""

_pb: Any = service_pb2  # generated without type stubs
_config: Any = model_config_pb2


@dataclass(slots=True)
class Simulator:
    """A running simulator. port: of its gRPC. control: URL of its control interface. log: its file."""

    process: asyncio.subprocess.Process
    port: int
    control: str
    log: Path

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def control_address(self) -> str:
        return self.control.removeprefix("http://")

    async def put(self, name: str, **fault: Any) -> None:
        """Set a fault."""
        async with httpx.AsyncClient() as client:
            done = await client.put(f"{self.control}/faults/{name}", json=fault)
        assert done.status_code == 200, done.text

    async def clear(self) -> None:
        """End all faults."""
        async with httpx.AsyncClient() as client:
            assert (await client.delete(f"{self.control}/faults")).status_code == 204

    async def hits(self, name: str) -> int:
        """Return how many calls a fault has met."""
        async with httpx.AsyncClient() as client:
            listed = (await client.get(f"{self.control}/faults")).json()["faults"]
        return next(one["hits"] for one in listed if one["name"] == name)


@asynccontextmanager
async def running_simulator(folder: Path, *options: str, before: Sequence[str] = ()) -> AsyncIterator[Simulator]:
    """Run a simulator; it listens when the block begins. before: the command that becomes its Triton, with options."""
    log = folder / "simulator.log"
    words = (*COMMAND, "--grpc-port=0", CONTROL_PORT, *options, *(("--", *before) if before else ()))
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(*words, stdout=output, stderr=output)
    try:
        started = await until_listening(process, log)
        yield Simulator(process, started["grpc_port"], f"http://127.0.0.1:{started['control_port']}", log)
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(30):
            await process.wait()


async def until_listening(process: asyncio.subprocess.Process, log: Path) -> dict[str, Any]:
    """Return the line with which a simulator says where it listens."""

    def said() -> dict[str, Any] | None:
        assert process.returncode is None, log.read_text()
        lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
        return next((line for line in lines if line["event"] == "listening"), None)

    found = await eventually(said, within=30)
    assert found is not None
    return found


def in_front_of(command: Path, *options: str) -> str:
    """Return what BATCHER_TRITON_COMMAND is set to where a simulator stands before what becomes Triton."""
    return shlex.join((*COMMAND, *options, "--", str(command)))


def written(repository: Path, config: str = CONFIG) -> str:
    """Write the folder of a model into a repository, and return its name."""
    name = text_format.Parse(config, _config.ModelConfig()).name
    (repository / name / "1").mkdir(parents=True)
    (repository / name / "config.pbtxt").write_text(config)
    return name


@asynccontextmanager
async def calling(address: str) -> AsyncIterator[Any]:
    """Yield a stub of Triton's service, once the server is live."""
    options = [("grpc.min_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 100)]
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        stub: Any = service_pb2_grpc.GRPCInferenceServiceStub(channel)

        async def live() -> bool:
            try:
                return (await stub.ServerLive(_pb.ServerLiveRequest(), timeout=1)).live
            except grpc.aio.AioRpcError as error:
                raise AssertionError(error.details()) from None

        await eventually(live, within=60)
        yield stub


def infer_request(model: str, rows: Any, input_name: str = "image") -> Any:
    """Return a request with one FP32 input."""
    request = _pb.ModelInferRequest(model_name=model, raw_input_contents=[rows.tobytes()])
    request.inputs.add(name=input_name, datatype="FP32", shape=rows.shape)
    return request
