"""The supervisor's control socket, on a supervisor of one small program, and what callers may do to it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from headrace_servicekit.testing import eventually
from headrace_stack.component import Component
from headrace_stack.control import ControlError, ControlSocket, ask
from headrace_stack.ports import Ports
from headrace_stack.scaler import Scaler
from headrace_stack.settings import StackSettings, checkout_of_this_file
from headrace_stack.snapshot import Phase, Snapshot
from headrace_stack.supervisor import Supervisor


async def healthy() -> str | None:
    return None


@dataclass(slots=True)
class Controlled:
    path: Path
    supervisor: Supervisor

    async def exchange(self, *lines: bytes) -> list[dict[str, Any]]:
        """Send bytes as they are and return what is answered until the other side closes, or to as many lines."""
        reader, writer = await asyncio.open_unix_connection(str(self.path))
        try:
            writer.write(b"".join(lines))
            answers = []
            async with asyncio.timeout(20):
                while len(answers) < len(lines) and (line := await reader.readline()):
                    answers.append(json.loads(line))
            return answers
        finally:
            writer.close()


@pytest.fixture
async def controlled(tmp_path: Path) -> AsyncIterator[Controlled]:
    settings = StackSettings(checkout_of_this_file(), tmp_path, Ports(8080))
    settings.create_directories()
    reports: list[Snapshot] = []
    one = Component("one", (sys.executable, "-c", "import time; time.sleep(1000)"), ready=healthy)
    supervisor = Supervisor([one], log_directory=settings.logs, base_port=8080, report=reports.append)
    life = asyncio.create_task(supervisor.run())
    async with ControlSocket(supervisor, Scaler(settings, supervisor, ["one"])).listening(settings.control_socket):
        await eventually(lambda: reports and reports[-1].phase is Phase.READY, within=20)
        yield Controlled(settings.control_socket, supervisor)
    supervisor.stop()
    await life


async def test_only_the_owner_may_ask(controlled: Controlled):
    assert controlled.path.stat().st_mode & 0o777 == 0o600
    assert controlled.path.parent.stat().st_mode & 0o777 == 0o700


async def test_status_tells_what_each_component_says_of_itself(controlled: Controlled):
    bare = await ask(controlled.path, {"do": "status", "checks": False}, 10)
    answer = await ask(controlled.path, {"do": "status"}, 10)
    assert (bare["missing"], bare["scalable"]) == ({}, answer["scalable"])
    assert answer["missing"] == {"one": None}
    assert [one["name"] for one in answer["components"]] == ["one"]
    assert answer["scalable"]["batcher-default"] == 1


async def test_several_requests_are_answered_in_turn_and_a_bad_one_ends_nothing(controlled: Controlled):
    answers = await controlled.exchange(b"nonsense\n", b'{"do": "scale"}\n', b'{"do": "status"}\n')
    assert [(answer["ok"], answer.get("field")) for answer in answers] == [
        (False, ""), (False, "component"), (True, None),
    ]  # fmt: skip


async def test_a_request_without_end_is_refused(controlled: Controlled):
    (answer,) = await controlled.exchange(b"x" * 200_000)
    assert "longer than" in answer["error"]
    assert (await ask(controlled.path, {"do": "status"}, 10))["ok"]


async def test_callers_are_bounded_and_those_that_leave_make_room(controlled: Controlled):
    writers = [(await asyncio.open_unix_connection(str(controlled.path)))[1] for _ in range(16)]

    async def refuses() -> bool:
        try:
            await ask(controlled.path, {"do": "status"}, 10)
        except ControlError as error:
            return "others are asking" in str(error) or "cannot be asked" in str(error)
        return False

    await eventually(refuses, within=10)
    for writer in writers:
        writer.close()

    async def answers() -> bool:
        return not await refuses()

    await eventually(answers, within=10)


async def test_a_stack_that_runs_only_a_part_is_not_scaled(controlled: Controlled):
    with pytest.raises(ControlError, match="runs only one"):
        await ask(controlled.path, {"do": "scale", "component": "batcher-default", "replicas": 2})


async def test_a_checkout_that_lies_deep_has_a_socket_too(tmp_path: Path):
    home = tmp_path / ("deep" * 40)
    settings = StackSettings(checkout_of_this_file(), home, Ports(8080))
    settings.create_directories()
    supervisor = Supervisor([], log_directory=settings.logs, base_port=8080, report=lambda _snapshot: None)
    for _ in range(2):  # what an earlier one left is in nobody's way
        async with ControlSocket(supervisor, Scaler(settings, supervisor)).listening(settings.control_socket):
            assert (await ask(settings.control_socket, {"do": "status"}, 10))["ok"]


async def test_without_a_supervisor_the_caller_is_told(tmp_path: Path):
    with pytest.raises(ControlError, match="cannot be asked"):
        await ask(tmp_path / "control.sock", {"do": "status"}, 10)
