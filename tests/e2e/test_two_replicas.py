"""Two scorers and two consoles behind one front door: what one began the other goes on with, and nothing runs twice."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from headrace_servicekit.testing import eventually
from headrace_stack.control import ask
from headrace_stack.testing import held_stack

from tests.e2e.test_scoring import BUCKET, put, store
from tests.kit.clients.headrace_cli import GOOD, Headrace
from tests.kit.console.browser import SUBJECT, link
from tests.kit.console.link_page import fields_of, follow
from tests.kit.models.onnx_models import slow
from tests.kit.stack import processes
from tests.kit.stack.running import RunningStack
from tests.kit.stores.servers import home_for_tests, worker_name

pytestmark = [pytest.mark.faults, pytest.mark.long, pytest.mark.timeout(600)]
SCORERS, CONSOLES = ("scorer", "scorer-1"), ("console", "console-1")


@pytest.fixture(scope="module")
def twice() -> Iterator[RunningStack]:
    """A stack of one of each, and of two scorers and two consoles."""
    with held_stack(home_for_tests(f"two-replicas-{worker_name()}"), ends_unwell=False) as settings:
        for first, second in (SCORERS, CONSOLES):
            more = {"do": "scale", "component": first, "replicas": 2}
            assert asyncio.run(ask(settings.control_socket, more, 120))["started"] == [second]
        yield RunningStack(settings)


async def test_a_session_of_one_console_is_one_of_the_other_and_ends_at_both(twice: RunningStack):
    first, second = CONSOLES
    pages = f"{twice.url}/console/"
    async with httpx.AsyncClient(timeout=30, trust_env=False) as browser:

        async def says(path: str, text: str) -> bool:
            try:
                return text in (await browser.get(pages + path, follow_redirects=True)).text
            except httpx.TransportError:
                return False

        async def signed_in() -> bool:
            await follow(browser, link(twice))
            return await says("", SUBJECT)

        async with processes.gone(twice, second):
            await eventually(signed_in, within=60, every=0.5)
        async with processes.gone(twice, first):
            await eventually(lambda: says("", SUBJECT), within=60, every=0.5)
            page = await browser.get(pages)
            await browser.post(f"{pages}sign-out", data=fields_of(page.text))
            assert not await says("", SUBJECT)
        async with processes.gone(twice, second):
            await eventually(lambda: says("", "Sign in"), within=60, every=0.5)
            assert not await says("", SUBJECT)


async def test_a_job_goes_on_when_the_scorer_that_runs_it_is_killed_and_scores_each_row_once(
    twice: RunningStack, tmp_path: Path
):
    headrace = Headrace(twice, tmp_path, "scored-by-two")
    headrace("models", "register", headrace.model, "v1", headrace.file("v1.onnx", slow(100)), *GOOD)
    at = table_of(headrace, 20_000)
    job = headrace(
        *("jobs", "submit", headrace.model, "--input", at, "--version", "v1", "--keep", "id"),
        *("--tensor", "x=f0,f1,f2,f3", "--batch-rows", "100", "--shard-rows", "1000"),
    )
    short = job["name"].removeprefix("models/").replace("/scoringJobs", "")

    def shards_done() -> int:
        return int(headrace("jobs", "get", short).get("progress", {}).get("shards_done", 0))

    async def goes_on() -> None:
        done = shards_done()
        await eventually(lambda: shards_done() > done, within=120, every=0.2)

    await goes_on()
    for scorer in SCORERS:  # whichever runs it
        async with processes.gone(twice, scorer):
            await goes_on()
    over = headrace("jobs", "watch", short)
    assert (over["state"], over["manifest"]["rows_out"]) == ("STATE_SUCCEEDED", "20000"), over
    ids = [one for file in results(twice, over) for one in file.column("id").to_pylist()]
    assert sorted(ids) == [*range(20_000)]
    types = [event["type"] for event in headrace("jobs", "history", short)["events"]]
    assert (types.count("created"), types.count("succeeded")) == (1, 1), types


async def test_a_schedule_creates_one_job_for_each_time_whichever_scorer_is_away(twice: RunningStack, tmp_path: Path):
    headrace = Headrace(twice, tmp_path, "scheduled-by-two")
    headrace("models", "register", headrace.model, "v1", headrace.file("v1.onnx", slow(1)), *GOOD)
    at = table_of(headrace, 10)
    words = ("--input", at, "--version", "v1", "--keep", "id", "--tensor", "x=f0,f1,f2,f3")
    like = headrace("jobs", "submit", headrace.model, *words)["name"]
    short = like.removeprefix("models/").replace("/scoringJobs", "")
    headrace("schedules", "put", f"{headrace.model}/minutely", "--cron", "* * * * *", "--like", short)

    def runs() -> list[str]:
        listed = headrace("jobs", "list", "--model", headrace.model)["jobs"]
        return [one["name"] for one in listed if one["name"] != like]

    for count, scorer in enumerate(SCORERS, start=1):
        async with processes.gone(twice, scorer):
            await eventually(lambda count=count: len(runs()) >= count, within=120, every=0.5)
    headrace("schedules", "pause", f"{headrace.model}/minutely")
    shown, created = headrace("schedules", "show", f"{headrace.model}/minutely"), runs()
    decided = {one["time"]: one["job"] for one in shown["decisions"] if one.get("job")}
    assert sorted(decided.values()) == sorted(created), "of each time one, and none of another"
    assert int(shown["jobs_created"]) == len(created)
    for one in created:
        short = one.removeprefix("models/").replace("/scoringJobs", "")
        assert headrace("jobs", "watch", short)["state"] == "STATE_SUCCEEDED"


def table_of(headrace: Headrace, rows: int) -> str:
    """Write a table of so many rows, and return where it is."""
    table = pa.table({"id": range(rows), **{f"f{at}": [1.0] * rows for at in range(4)}})
    return put(headrace.stack, headrace.model, table)


def results(stack: RunningStack, job: dict[str, Any]) -> list[pa.Table]:
    """Return what a job wrote."""
    client = store(stack)
    listed = client.list_objects_v2(Bucket=BUCKET, Prefix=job["output_uri"].removeprefix(f"s3://{BUCKET}/"))
    keys = [one["Key"] for one in listed["Contents"] if one["Key"].endswith(".parquet")]
    return [pq.read_table(io.BytesIO(client.get_object(Bucket=BUCKET, Key=key)["Body"].read())) for key in keys]
