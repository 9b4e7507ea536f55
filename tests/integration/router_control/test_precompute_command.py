"""`headrace precompute` and the SDK behind it, against a control plane, a database and a Valkey."""

import asyncio
import json
import os
import shlex
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from headrace_client import Answers, AsyncClient, Client
from headrace_servicekit.testing import eventually
from headrace_stack.settings import StackSettings

from tests.kit.clients import commands
from tests.kit.clients.commands import Done
from tests.kit.router.control_plane import Plane, control_plane
from tests.kit.router.publishing import begin, get, read, status
from tests.kit.router.registry_feed import RegistryFeed
from tests.kit.stores.servers import kill_component

SETTINGS = {"precomputed_settle_s": 0.1, "acknowledge_wait_s": 0.2}


@pytest.fixture
async def plane(postgres_url: str, valkey_url: str, registry: RegistryFeed) -> AsyncIterator[Plane]:
    registry.put("digits", "v1", production="v1")
    async with control_plane(postgres_url, registry.target, valkey_url=valkey_url, **SETTINGS) as running_plane:
        yield running_plane


async def run(plane: Plane, *words: str) -> Done:
    """Run `headrace precompute …` as a process: this one's output has the log of the control plane."""
    environment = {**os.environ, "HEADRACE_ADDRESS": plane.target, "HEADRACE_TOKEN": "t"}
    return await commands.run(Path(sys.executable).with_name("headrace"), "precompute", *words, environment=environment)


async def document(plane: Plane, *words: str) -> Any:
    done = await run(plane, *words, "--json")
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def table(rows: int, **columns: Any) -> pa.Table:
    return pa.table({"entity": [f"item-{row}" for row in range(rows)], **columns})


async def test_a_parquet_file_is_published_shown_and_taken_back(plane: Plane, tmp_path: Path, valkey_url: str):
    rows = 20_000
    pq.write_table(table(rows, y=np.arange(rows, dtype=np.float64), note=["x"] * rows), tmp_path / "answers.parquet")
    done = await run(plane, "publish", "digits", str(tmp_path / "answers.parquet"), "--version", "v1", "--ttl", "1d")
    assert done.exit_code == 0, done.stderr
    assert "published 20,000 rows" in done.stdout
    assert "20,000 entities of digits v1" in done.stdout
    assert "in force: generation 1 until" in done.stdout
    assert "left out: note" in done.stderr
    kept = await status(plane)
    assert kept is not None
    incarnation = (await plane.watch().read()).incarnation
    assert await read(valkey_url, incarnation, kept.active.generation, "item-19999") == 19999
    shown = await run(plane, "status", "digits")
    assert "v1" in shown.stdout
    assert "present" in shown.stdout
    taken = await run(plane, "revert", "digits", "--version", "v1")
    assert "no precomputed answers" in taken.stdout
    assert (await document(plane, "status", "digits"))["answers"][0]["condition"] == "CONDITION_NONE"


async def test_lines_of_json_are_published_and_an_open_publish_is_resumed(plane: Plane, tmp_path: Path):
    file = tmp_path / "answers.jsonl"
    file.write_text("".join(json.dumps({"item": row, "y": [row / 2]}) + "\n" for row in range(10)))
    opened = await begin(plane, rows=10)
    resumed = ["publish", "digits", str(file), "--entity", "item", "--resume", opened.name]
    found = await document(plane, *resumed)
    assert (found["rows_sent"], found["publish"]["entity_count"]) == (10, "10")
    again = await run(plane, *resumed)
    assert again.exit_code == 0  # the commit is repeated, and nothing is sent
    assert "published 0 rows" in again.stdout


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        pytest.param(['{"entity": "a"}'], "line 1: has no 'y'", id="no output"),
        pytest.param(['{"entity": "a", "y": 1}', "{"], "line 2: is no JSON", id="no JSON"),
        pytest.param(['{"entity": 1.5, "y": 1}'], "has a float for its entity", id="no entity"),
        pytest.param(['{"entity": "a", "y": "warm"}'], "which does not become FP32 by itself", id="text"),
        pytest.param(['{"entity": "a", "y": [1, 2]}'], "has rows of shape [2]; the version has [1]", id="shape"),
        pytest.param(['{"entity": "a", "y": NaN}'], "row 0 (entity 'a') is NaN", id="NaN"),
    ],
)
async def test_a_wrong_file_is_blamed_by_line_and_what_to_do_is_said(
    plane: Plane, tmp_path: Path, lines: list[str], says: str
):
    (tmp_path / "answers.jsonl").write_text("\n".join(lines))
    done = await run(plane, "publish", "digits", str(tmp_path / "answers.jsonl"), "--version", "v1")
    assert done.exit_code == 2, done.stdout
    assert says in done.stderr
    assert "--resume models/digits/versions/v1/publishes/1" in done.stderr


async def test_how_to_go_on_is_said_as_a_command_that_does(plane: Plane, tmp_path: Path):
    file = tmp_path / "nightly [b] run.jsonl"
    file.write_text('{"item": "a", "y": "warm"}')
    stopped = await run(plane, "publish", "digits", str(file), "--version", "v1", "--entity", "item")
    said = next(line for line in stopped.stderr.splitlines() if "--resume" in line)
    words = shlex.split(said.partition("headrace precompute ")[2])
    file.write_text('{"item": "a", "y": 1.5}')
    assert (await document(plane, *words))["publish"]["entity_count"] == "1"


async def test_a_publish_is_given_up_by_name(plane: Plane):
    opened = await begin(plane)
    assert f"open: {opened.name}" in (await run(plane, "status", "digits")).stdout
    assert (await run(plane, "abort", opened.name)).exit_code == 0
    assert (await get(plane, opened)).state == opened.STATE_ABORTED
    assert (await run(plane, "abort", "models/digits/versions/v1/publishes/99")).exit_code == 3


@pytest.mark.parametrize("once", [True, False], ids=["an iterator", "a function"])
async def test_both_clients_publish_batches(plane: Plane, once: bool):
    def batches() -> Iterator[Answers]:
        for begin_at in range(0, 30, 10):
            yield Answers([str(row) for row in range(begin_at, begin_at + 10)], {"y": np.ones(10, np.float32)})

    async with AsyncClient(plane.target, token="t") as client:
        done = await client.precomputed.publish("digits", batches() if once else batches, version="v1", row_count=30)
        assert done.publish.entity_count == 30

    def blocking() -> int:
        with Client(plane.target, token="t") as client:
            given = batches() if once else batches
            return client.precomputed.publish("digits", given, version="v1", row_count=30).publish.entity_count

    assert await asyncio.to_thread(blocking) == 30


@pytest.mark.faults
async def test_an_upload_goes_on_when_valkey_and_the_control_plane_are_killed(
    postgres_url: str, valkey_url: str, registry: RegistryFeed, valkey_server: StackSettings
):
    """The client hears of neither: every row is there at the end, once."""
    registry.put("digits", "v1", production="v1")
    reached, go_on = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    rows, each = 40_000, 1_000

    def batches() -> Iterator[Answers]:
        for begin_at in range(0, rows, each):
            if begin_at in (rows // 4, rows // 2):
                loop.call_soon_threadsafe(reached.set)
                asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(60)
                loop.call_soon_threadsafe(go_on.clear)
            values = np.arange(begin_at, begin_at + each, dtype=np.float32)
            yield Answers([f"item-{row}" for row in range(begin_at, begin_at + each)], {"y": values})

    def publish() -> Any:
        with Client(target, token="t") as client:
            return client.precomputed.publish("digits", batches(), version="v1", row_count=rows)

    async with control_plane(postgres_url, registry.target, valkey_url=valkey_url, **SETTINGS) as first:
        target, port = first.target, int(first.target.rpartition(":")[2])
        publishing = asyncio.create_task(asyncio.to_thread(publish))
        await reached.wait()
        reached.clear()
        kill_component(valkey_server, "valkey")
        go_on.set()
        await reached.wait()
    async with control_plane(postgres_url, registry.target, valkey_url=valkey_url, port=port, **SETTINGS) as second:
        go_on.set()
        done = await publishing
        assert (done.publish.row_count, done.publish.entity_count) == (rows, rows)
        incarnation = (await second.watch().read()).incarnation
        for row in (0, rows // 4, rows // 2, rows - 1):
            assert await read(valkey_url, incarnation, done.publish.generation, f"item-{row}") == row
        await eventually(lambda: status(second))
