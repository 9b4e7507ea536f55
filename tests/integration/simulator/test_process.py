"""A simulator starts and ends as tritonserver does, and takes the Triton that it started with it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from pathlib import Path

import numpy as np
import psutil
import pytest
from headrace_servicekit.testing import eventually

from tests.kit.models.simulator import COMMAND, calling, infer_request, running_simulator, written

ROWS = np.zeros((1, 4), np.float32)


async def ended(*words: str) -> tuple[int | None, str]:
    """Run a simulator that is to end by itself; return its exit code and what it said."""
    process = await asyncio.create_subprocess_exec(*COMMAND, *words, stderr=asyncio.subprocess.PIPE)
    async with asyncio.timeout(60):
        _, said = await process.communicate()
    return process.returncode, said.decode()


async def test_sigterm_ends_it_and_what_faults_hold_is_answered(tmp_path: Path):
    written(tmp_path / "models")
    async with (
        running_simulator(tmp_path, f"--model-repository={tmp_path / 'models'}") as simulator,
        calling(simulator.address) as stub,
    ):
        await simulator.put("wedge", kind="wedge", model="digits--v1")
        waiting = asyncio.create_task(_answered(stub.ModelInfer(infer_request("digits--v1", ROWS), timeout=30)))
        await eventually(lambda: simulator.hits("wedge"))
        simulator.process.terminate()
        assert (await waiting).model_name == "digits--v1"
        assert await simulator.process.wait() == 0


async def _answered(call):
    return await call


async def test_a_port_that_is_taken_is_told_at_the_start():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, said = await ended(f"--grpc-port={port}")
        assert code == 1
        assert f"cannot listen on 127.0.0.1:{port}" in said
        code, said = await ended("--grpc-port=0", f"--control=127.0.0.1:{port}")
        assert code == 1
        assert "Address already in use" in said


async def test_a_script_that_is_wrong_is_told_at_the_start(tmp_path: Path):
    script = tmp_path / "faults.json"
    script.write_text('{"a": {"kind": "slow", "base_ms": -1}}')
    code, said = await ended("--grpc-port=0", f"--faults={script}")
    assert (code, "a.base_ms" in said) == (1, True), said


async def test_an_empty_token_is_none(tmp_path: Path):
    (tmp_path / "token").write_text("\n")
    code, said = await ended("--grpc-port=0", f"--control-token-file={tmp_path / 'token'}")
    assert (code, "is empty" in said) == (1, True), said


async def test_it_ends_with_the_exit_code_of_the_triton_that_it_started(tmp_path: Path):
    program = tmp_path / "triton"
    program.write_text("#!/bin/sh\necho $@\nexit 7\n")
    program.chmod(0o755)
    code, said = await ended("--grpc-port=0", "--", str(program), "--model-repository=m")
    assert (code, '"exit_code": 7' in said) == (7, True), said


async def test_a_program_that_is_not_there_is_told():
    code, said = await ended("--grpc-port=0", "--", "/no/such/triton")
    assert (code, "/no/such/triton" in said) == (1, True), said


@pytest.mark.faults
async def test_a_triton_ends_with_the_simulator_that_started_it_even_when_that_is_killed(
    triton_command: Path, tmp_path: Path
):
    (tmp_path / "models").mkdir()
    before = (str(triton_command), f"--model-repository={tmp_path / 'models'}", "--allow-metrics=false")
    for number in (signal.SIGTERM, signal.SIGKILL):
        async with running_simulator(tmp_path, before=before) as simulator, calling(simulator.address):
            (triton,) = psutil.Process(simulator.process.pid).children()
            os.kill(simulator.process.pid, number)
            await simulator.process.wait()
            await eventually(lambda one=triton: not one.is_running() or one.status() == "zombie", within=20)
