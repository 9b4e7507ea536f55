"""A decoupled model of a real Triton, whose server a version names: its parts, and what withdraws them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import numpy as np
import pytest
from headrace_runtime import shapes
from headrace_runtime.backends.backend import LoadError, ModelCrashed, ModelError, ModelFiles
from headrace_runtime.backends.oip_servers import OipServers
from headrace_runtime.contract import BatchDimension, Contract, TensorSpec
from headrace_runtime.formats import Format
from headrace_servicekit.testing import eventually
from headrace_stack.settings import checkout_of_this_file

from tests.kit.models.triton import Triton, running_triton

# As Triton's own example `repeat_int32`: threads send, and `execute` has returned by then.
CODE = """
import os
import threading
import time
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            n = int(pb_utils.get_input_tensor_by_name(request, "IN").as_numpy()[0])
            sender = request.get_response_sender()
            threading.Thread(target=self.respond, args=(request, sender, n), daemon=True).start()

    def respond(self, request, sender, n):
        folder = os.path.dirname(__file__)
        for i in range(n):
            if sender.is_cancelled():
                open(os.path.join(folder, "cancelled"), "w").close()
                break
            sender.send(pb_utils.InferenceResponse([pb_utils.Tensor("OUT", np.array([i], np.int32))]))
            time.sleep(0.01 if n > 100 else 0)
        if n == 13:
            sender.send(pb_utils.InferenceResponse(error=pb_utils.TritonError("thirteen brings no luck")))
        sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
"""
CONFIG = """
backend: "python"
max_batch_size: 0
model_transaction_policy { decoupled: true }
input [ { name: "IN" data_type: TYPE_INT32 dims: [ 1 ] } ]
output [ { name: "OUT" data_type: TYPE_INT32 dims: [ 1 ] } ]
instance_group [ { count: 1 kind: KIND_CPU } ]
"""
NONE = BatchDimension.NONE
CONTRACT = Contract(
    (TensorSpec("IN", "INT32", (1,), batch_dimension=NONE),),
    (TensorSpec("OUT", "INT32", (1,), batch_dimension=NONE),),
    decoupled=True,
)


@pytest.fixture
def triton(triton_command: Path, tmp_path: Path):
    backends = tmp_path / "backends"
    backends.mkdir()
    (backends / "python").symlink_to(checkout_of_this_file() / ".headrace/triton-venv/triton-backends/python")
    with running_triton(triton_command, tmp_path, f"--backend-directory={backends}") as triton:
        folder = triton.repository / "repeat"
        (folder / "1").mkdir(parents=True)
        (folder / "1" / "model.py").write_text(CODE)
        (folder / "config.pbtxt").write_text(CONFIG)
        yield triton


@pytest.fixture
async def servers(triton: Triton, tmp_path: Path) -> AsyncIterator[OipServers]:
    import tritonclient.grpc.aio as client

    async with client.InferenceServerClient(triton.address) as asked:
        await asked.load_model("repeat")
    async with OipServers(execution_timeout_s=20) as servers:
        await servers.load(files(triton, tmp_path, CONTRACT))
        yield servers


def files(triton: Triton, folder: Path, contract: Contract) -> ModelFiles:
    path = folder / "server.json"
    path.write_text(f'{{"target": "{triton.address}", "model": "repeat"}}')
    return ModelFiles("m--v1", path, contract, 1, kept_as=Format.OIP, model_file="server.json")


def stream(servers: OipServers, n: int):
    layout = shapes.layout_of(CONTRACT, shapes.FIXED)
    return servers.stream("m--v1", layout, 1, [np.array([n], "<i4").tobytes()])


async def take(servers: OipServers, n: int, got: list[int]) -> None:
    async with aclosing(stream(servers, n)) as parts:
        async for outputs in parts:
            (output,) = shapes.outputs_in_order(CONTRACT, 1, outputs)
            got.append(int(np.frombuffer(output.data, "<i4")[0]))


@pytest.mark.long
async def test_tritons_parts_come_in_order_and_whoever_leaves_withdraws_the_request(servers, triton, tmp_path):
    for n in (5, 0, 1):
        await take(servers, n, got := [])
        assert got == list(range(n))
    got = []
    with pytest.raises(ModelError, match="thirteen brings no luck"):
        await take(servers, 13, got)
    assert got == list(range(13))
    async with aclosing(stream(servers, 100_000)) as parts:
        await anext(parts)
    cancelled = triton.repository / "repeat" / "1" / "cancelled"
    await eventually(cancelled.exists, within=10)
    once = Contract(CONTRACT.inputs, CONTRACT.outputs)
    with pytest.raises(LoadError, match="decoupled"):
        await servers.load(files(triton, tmp_path, once))


@pytest.mark.faults
async def test_who_takes_the_parts_of_a_triton_that_is_killed_is_told(servers, triton):
    taking = asyncio.create_task(take(servers, 100_000, got := []))
    await eventually(lambda: got, within=10)
    triton.process.kill()
    with pytest.raises(ModelCrashed):
        await taking
