"""The socket between a batcher and its Triton, on a real one."""

import socket
import stat
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.kit.batcher.service import BatcherRig
from tests.kit.batcher.stream_client import BatcherClient
from tests.kit.models import onnx_models
from tests.kit.models.triton_processes import SERVER, triton_pids

ROW = np.ones((1, 4), dtype=np.float32)


async def answers(rig: BatcherRig, **changes: str) -> set[int]:
    """Run a batcher, have it answer, and return the ports that its Triton listens on."""
    version = await rig.version("linear", onnx_models.linear(seed=3))
    rig.want(version)
    async with rig.running(**changes) as runtime, BatcherClient.connected(runtime.servers[0].address) as client:
        await client.until_ready(version.digest)
        answer = await client.infer(version.digest, [ROW])
        assert not answer.code, answer
        (pid,) = triton_pids(rig.models, SERVER)
        listening = [one for one in psutil.Process(pid).net_connections("inet") if one.status == psutil.CONN_LISTEN]
        return {one.laddr.port for one in listening}


async def test_triton_is_called_by_a_socket_of_this_user_alone_and_by_no_port_where_one_was_left(
    triton_rig: BatcherRig,
):
    path = Path(triton_rig.triton.removeprefix("unix:"))
    path.parent.mkdir(parents=True, mode=0o700)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    assert await answers(triton_rig) == {triton_rig.settings["triton_metrics_port"]}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.long
async def test_a_port_is_taken_where_one_is_named(triton_rig: BatcherRig):
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    ports = await answers(triton_rig, triton_target=f"127.0.0.1:{port}")
    assert ports == {port, triton_rig.settings["triton_metrics_port"]}
