"""The supervisor's control socket as the autoscaler speaks to it: what it asks, and every way of not being answered."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from headrace_autoscaler.actuators.actuator import ActuatorError
from headrace_autoscaler.actuators.local import LocalActuator


@asynccontextmanager
async def supervisor(path: Path, answer: bytes | None) -> AsyncIterator[list[Any]]:
    """Answer every request with the same line until the block ends, or with nothing; yields what was asked."""
    asked: list[Any] = []
    serving: set[asyncio.Task[Any] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        asked.append(json.loads(await reader.readline()))
        if answer is None:
            await reader.read()  # until the caller has gone
        else:
            writer.write(answer)
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_unix_server(serve, str(path))
    try:
        yield asked
    finally:
        await asyncio.gather(*(task for task in serving if task is not None))
        server.close()
        await server.wait_closed()


async def test_counts_are_read_without_a_check_of_everything_and_zero_is_said_to_be_meant(tmp_path: Path):
    path = tmp_path / "control.sock"
    status = {"ok": True, "scalable": {"batcher-default": 2, "registry": 1}}
    async with supervisor(path, json.dumps(status).encode() + b"\n") as asked:
        actuator = LocalActuator(path, scale_s=5.0)
        assert await actuator.targets(["default", "of-nobody"]) == {"default": 2}
        await actuator.scale("default", 3, [])
        await actuator.scale("default", 2, ["127.0.0.1:7012", "127.0.0.1:7004"])
        await actuator.scale("default", 0, [])
    assert asked == [
        {"do": "status", "checks": False},
        {"do": "scale", "component": "batcher-default", "replicas": 3, "first": []},
        {
            "do": "scale",
            "component": "batcher-default",
            "replicas": 2,
            "first": ["127.0.0.1:7012", "127.0.0.1:7004"],
        },
        {"do": "scale", "component": "batcher-default", "replicas": 0, "first": [], "to_zero": True},
    ]


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b'{"ok": false, "error": "not started: no memory"}\n', "no memory"),
        (b"nonsense\n", "cannot be asked"),
        (b"[]\n", "nothing that can be read"),
        (b"", "has stopped"),
        (None, "did not answer within 0.2 s"),
    ],
)
async def test_what_the_supervisor_refuses_or_does_not_say_is_said(tmp_path: Path, answer: bytes | None, problem: str):
    path = tmp_path / "control.sock"
    async with supervisor(path, answer):
        with pytest.raises(ActuatorError, match=problem):
            await LocalActuator(path, scale_s=0.2).scale("default", 3, [])


async def test_a_supervisor_that_is_away_is_said(tmp_path: Path):
    with pytest.raises(ActuatorError, match="cannot be asked"):
        await LocalActuator(tmp_path / "nobody.sock", scale_s=1.0).targets(["default"])
