"""Whether the history of rollouts is what was written, on a PostgreSQL that somebody edits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import asyncpg
import pytest
from headrace_rollout.decisions.rollouts import Event, Transition
from headrace_rollout.service import start
from headrace_rollout.settings import RolloutSettings
from headrace_rollout.store import HISTORY, SQL, Request, Store, database
from headrace_servicekit.postgres.connections import Address, Connections
from headrace_servicekit.postgres.history import BrokenLine
from headrace_servicekit.postgres.migrations import migrate
from headrace_servicekit.postgres.sql import load_migrations

from tests.kit.rollout.rollouts import rollout
from tests.kit.stores.edited_history import (
    EditedHistory,
    assert_removed_lines_are_found,
    bucket_of,
    verified,
    with_every_right,
)
from tests.kit.stores.servers import S3Store

CHAINED = 4
"""The migration that brought digests."""


@pytest.fixture
async def connections(postgres_url: str) -> AsyncIterator[Connections]:
    async with database(Address(postgres_url), 2) as opened:
        await opened.migrate()
        yield opened


async def fill(connections: Connections, *models: str) -> list[int]:
    """Start a rollout of each model, to which three more things happen; return their ids."""
    store, ids = Store(connections), list[int]()
    for model in models:

        def began(id_: int, now: Any, model: str = model) -> Transition:
            return Transition(replace(rollout(), id=id_, model=model, create_time=now), (Event("started", "", "ana"),))

        ids.append((await store.start(began, Request("ana", "", b""))).id)
        for number in range(3):
            event = Event("noted", f'ü "{number}"', "ana")
            await store.change(ids[-1], lambda known, _now, event=event: Transition(known, (event,)))
    return ids


@pytest.mark.parametrize(
    ("edit", "number"),
    [
        ("update rollout_events set client = 'mallory' where rollout = $1 and number = 2", 2),
        ("update rollout_events set document = document || '{\"a\": 1}' where rollout = $1 and number = 4", 4),
        ("update rollout_events set create_time = create_time + interval '1 us' where rollout = $1 and number = 1", 1),
        ("delete from rollout_events where rollout = $1 and number = 1", 2),
        ("delete from rollout_events where rollout = $1 and number = 3", 4),
        (
            "insert into rollout_events select rollout, 5, create_time, type, reason, client, document, chain "
            "from rollout_events where rollout = $1 and number = 4",
            5,
        ),
    ],
)
async def test_an_event_that_somebody_edits_removes_or_appends_by_hand_is_found(
    connections: Connections, postgres_url: str, edit: str, number: int
):
    _, id_ = await fill(connections, "digits", "other")
    found = await HISTORY.verify(connections)
    assert (found.broken, found.lines, found.heads[str(id_)].place) == ([], 8, (4,))
    async with with_every_right(postgres_url) as connection:
        await connection.execute(edit, id_)
    assert (await HISTORY.verify(connections)).broken == [BrokenLine(str(id_), (number,), "CHANGED")]


async def test_the_command_finds_it_and_what_was_taken_from_the_end_too(
    connections: Connections, postgres_url: str, tmp_path
):
    (id_,) = await fill(connections, "digits")
    kept = tmp_path / "heads.json"

    async def verify(*words: str):
        peers = {f"ROLLOUT_{peer}_TARGET": "127.0.0.1:1" for peer in ("REGISTRY", "CONTROL", "MONITOR")}
        return await verified("headrace_rollout", "ROLLOUT_DATABASE_URL", postgres_url, *words, **peers)

    code, told = await verify("--out", str(kept))
    assert "set ROLLOUT_S3_ENDPOINT, or name some with --heads or --since" in told.pop("not_checked")
    assert (code, told) == (0, {"rollouts": 1, "lines": 4, "broken": []})
    async with with_every_right(postgres_url) as connection:
        await connection.execute("delete from rollout_events where number = 4")
        code, told = await verify()
        assert (code, told["lines"], "not_checked" in told) == (0, 3, True)
        line = {"rollout": str(id_), "number": 4, "reason": "GONE"}
        assert await verify("--since", str(kept)) == (3, {"rollouts": 1, "lines": 3, "broken": [line]})
        await connection.execute("update rollout_events set reason = 'another' where number = 2")
        code, told = await verify("--since", str(kept))
    assert (code, [one["reason"] for one in told["broken"]]) == (3, ["CHANGED", "GONE"])


@pytest.mark.long
async def test_a_folder_of_heads_finds_what_was_taken_from_the_end_and_an_emptied_history(
    connections: Connections, postgres_url: str, tmp_path
):
    await fill(connections, "digits")
    heads = tmp_path / "heads"
    heads.mkdir()

    async def verify(*words: str):
        peers = {f"ROLLOUT_{peer}_TARGET": "127.0.0.1:1" for peer in ("REGISTRY", "CONTROL", "MONITOR")}
        words = ("--heads", str(heads), *words)
        return await verified("headrace_rollout", "ROLLOUT_DATABASE_URL", postgres_url, *words, **peers)

    code, told = await verify()
    assert (code, told["kept"], "not_checked" in told) == (0, 0, True)
    assert await verify() == (0, {"rollouts": 1, "lines": 4, "broken": [], "kept": 1})
    assert [path.name for path in heads.iterdir()] == ["000000000001.json"]  # nothing new, no new file
    async with with_every_right(postgres_url) as connection:
        for edit, lines in (("delete from rollout_events where number = 4", 3), ("delete from rollout_events", 0)):
            await connection.execute(edit)
            code, told = await verify()
            assert (code, told["lines"], [one["reason"] for one in told["broken"]]) == (3, lines, ["GONE"])
    assert (await verify("--new-sequence", "emptied by us"))[0] == 0
    assert (await verify())[0] == 0


@pytest.mark.long
async def test_a_history_that_was_shortened_or_emptied_says_so_by_what_the_service_stored_in_s3(
    connections: Connections, postgres_url: str, s3: S3Store, tmp_path
):
    peers = {f"{peer}_target": "127.0.0.1:1" for peer in ("registry", "control", "monitor")}
    settings = RolloutSettings(database_url=postgres_url, **peers, **bucket_of(s3, tmp_path))
    last = "select rollout, max(number) from rollout_events group by rollout order by rollout limit 1"
    edits = {
        f"delete from rollout_events where (rollout, number) = ({last})": ["GONE"],
        "delete from rollout_events": ["GONE", "GONE"],
    }
    kept = EditedHistory("headrace_rollout", start, settings, HISTORY, edits)
    await assert_removed_lines_are_found(kept, connections, lambda: fill(connections, "digits", "other"))


async def test_triggers_keep_everybody_else_from_changing_it(connections: Connections, postgres_url: str):
    await fill(connections, "digits")
    connection = await asyncpg.connect(postgres_url, timeout=10)
    try:
        for edit in ("update rollout_events set client = 'mallory'", "delete from rollout_events"):
            with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="is not changed"):
                await connection.execute(edit)
    finally:
        await connection.close()


async def test_history_from_before_there_were_digests_gets_them(postgres_url: str):
    known = load_migrations(SQL)
    connection = await asyncpg.connect(postgres_url, timeout=10)
    events = """insert into rollout_events (rollout, number, create_time, type, reason, client, document)
    select rollout, number + $1, now(), 'noted', E'\\x1f"', 'ana', '{"a": 1.50}'
    from generate_series(1, 2) as rollout, generate_series(1, 3) as number"""
    try:
        await migrate(connection, [one for one in known if one.number < CHAINED])
        await connection.execute("set session_replication_role = replica")  # no rollouts to refer to
        await connection.execute(events, 0)
        await connection.execute("set session_replication_role = origin")
        await migrate(connection, known)
        await connection.execute("alter table rollout_events drop constraint rollout_events_rollout_fkey")
        await connection.execute(events, 3)  # and by the release before
        async with Connections(Address(postgres_url), owner="rollout service", size=1) as connections:
            found = await HISTORY.verify(connections)
        assert (found.broken, found.lines) == ([], 12)
    finally:
        await connection.close()
