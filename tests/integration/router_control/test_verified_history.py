"""Whether the history of routes is what was written, on a PostgreSQL that somebody edits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import asyncpg
import pytest
from headrace_router.control.decisions.states import Announcement, Ended, Outcome, Step
from headrace_router.control.service import start
from headrace_router.control.settings import ControlSettings
from headrace_router.control.storage.postgres import HISTORY, PostgresStore
from headrace_servicekit.postgres.connections import Address, Connections
from headrace_servicekit.postgres.history import BrokenLine
from headrace_servicekit.postgres.migrations import migrate
from headrace_servicekit.postgres.sql import load_migrations

from tests.kit.router.stored_routes import NOW, activated, begun, change, state
from tests.kit.stores.edited_history import (
    EditedHistory,
    assert_removed_lines_are_found,
    bucket_of,
    verified,
    with_every_right,
)
from tests.kit.stores.servers import S3Store

CHAINED = 8
"""The migration that brought digests."""


@pytest.fixture
async def store(postgres_url: str) -> AsyncIterator[PostgresStore]:
    async with PostgresStore(Connections(Address(postgres_url), owner="router", size=2)) as store:
        await store.migrate()
        yield store


async def fill(store: PostgresStore, model: str = "digits") -> None:
    """Begin three changes; one is superseded by the next, one takes effect, one waits still."""
    known = await store.commit(None, Step(state(model), announcement=Announcement.NOT_SERVING), NOW)
    dropped, kept, waits = change(), change(etag="e2"), change(etag="e3")
    known = await store.commit(known.revision, begun(known.state, dropped), NOW)
    superseding = Step(replace(known.state, pending=kept), (kept,), (Ended(dropped, Outcome.SUPERSEDED, "newer"),))
    known = await store.commit(known.revision, superseding, NOW)
    known = await store.commit(known.revision, activated(known.state, kept), NOW)
    await store.commit(known.revision, begun(known.state, waits), NOW)


async def broken(store: PostgresStore) -> list[BrokenLine]:
    return (await HISTORY.verify(store.connections)).broken


async def test_what_is_written_is_chained_in_the_order_in_which_it_was(store: PostgresStore):
    await fill(store)
    await fill(store, "other")
    found = await HISTORY.verify(store.connections)
    assert (found.broken, found.lines) == ([], 10)
    # Of digits the third change began last.
    assert {model: head.place[1] for model, head in found.heads.items()} == {"digits": 0, "other": 0}


@pytest.mark.parametrize(
    ("edit", "place"),
    [
        ("update changes set client = 'mallory' where number = 2", (2, 0)),
        ("update changes set begun_at = begun_at + interval '1 us' where number = 1", (1, 0)),
        ("update changes set change = change || '{\"a\": 1}' where number = 1", (1, 1)),
        ("update changes set outcome = 'active' where number = 1", (1, 1)),
        ("update changes set generation = 99 where number = 2", (2, 1)),
        ("update changes set outcome = null where number = 2", (2, 1)),
        ("update changes set begin_chain = null where number = 3", (3, 0)),
        ("delete from changes where number = 1", (2, 0)),
        (
            "insert into changes (id, model, kind, client, reason, change, begun_at, begin_line, begin_chain) "
            "select gen_random_uuid(), model, kind, client, reason, change, begun_at, 99, begin_chain from changes "
            "where number = 3",
            (4, 0),
        ),
    ],
)
async def test_a_line_that_somebody_edits_removes_or_appends_by_hand_is_found(
    store: PostgresStore, postgres_url: str, edit: str, place: tuple[int, int]
):
    await fill(store)
    async with with_every_right(postgres_url) as connection:
        await connection.execute("alter table changes alter column begin_chain drop not null")
        await connection.execute(edit)
    assert await broken(store) == [BrokenLine("digits", place, "CHANGED")]


async def test_the_command_finds_it_and_who_wrote_the_digests_anew_too(
    store: PostgresStore, postgres_url: str, tmp_path
):
    await fill(store)
    kept = tmp_path / "heads.json"

    async def verify(*words: str):
        return await verified(
            *("headrace_router.control", "ROUTER_CONTROL_DATABASE_URL", postgres_url, *words),
            ROUTER_CONTROL_REGISTRY_TARGET="127.0.0.1:1",
        )

    code, told = await verify("--out", str(kept))
    assert "set ROUTER_CONTROL_S3_ENDPOINT, or name some with --heads or --since" in told.pop("not_checked")
    assert (code, told) == (0, {"models": 1, "lines": 5, "broken": []})
    async with with_every_right(postgres_url) as connection:
        await connection.execute("update changes set client = 'mallory' where number = 1")
        line = {"model": "digits", "number": 1, "ended": 0, "reason": "CHANGED"}
        code, told = await verify("--out", str(tmp_path / "never.json"))
        assert (code, told["lines"], told["broken"]) == (3, 5, [line])
        assert not (tmp_path / "never.json").exists()

        # Also by who has the database's own functions write all digests anew: the heads were kept.
        rows = await connection.fetch("delete from changes returning *")
        await connection.execute("set session_replication_role = origin")
        for row in sorted(rows, key=lambda row: row["number"]):
            values = dict(row) | dict.fromkeys(("begin_line", "begin_chain", "end_line", "end_chain"))
            places = ", ".join(f"${n + 1}" for n in range(len(values)))
            await connection.execute(f"insert into changes ({', '.join(values)}) values ({places})", *values.values())
    assert await broken(store) == []
    code, told = await verify("--since", str(kept))
    assert (code, [one["reason"] for one in told["broken"]]) == (3, ["REWRITTEN"])


@pytest.mark.long
async def test_a_history_that_was_shortened_or_emptied_says_so_by_what_the_service_stored_in_s3(
    store: PostgresStore, postgres_url: str, s3: S3Store, tmp_path
):
    settings = ControlSettings(database_url=postgres_url, registry_target="127.0.0.1:1", **bucket_of(s3, tmp_path))
    edits = {"delete from changes where model = 'other'": ["GONE"], "delete from changes": ["GONE", "GONE"]}

    async def both() -> None:
        await fill(store)
        await fill(store, "other")

    kept = EditedHistory("headrace_router.control", start, settings, HISTORY, edits)
    await assert_removed_lines_are_found(kept, store.connections, both)


async def test_triggers_keep_everybody_else_from_changing_it(store: PostgresStore, postgres_url: str):
    await fill(store)
    connection = await asyncpg.connect(postgres_url, timeout=10)
    try:
        for edit in (
            "update changes set client = 'mallory' where number = 3",
            "update changes set outcome_reason = 'another' where number = 1",
            "delete from changes",
        ):
            with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="is not changed"):
                await connection.execute(edit)
    finally:
        await connection.close()


async def test_history_from_before_there_were_digests_gets_them(postgres_url: str):
    known = load_migrations("headrace_router.control.storage.sql")
    connection = await asyncpg.connect(postgres_url, timeout=10)
    insert = """insert into changes (id, model, kind, client, reason, change, begun_at, outcome, generation, ended_at)
    select gen_random_uuid(), model, 'write', 'ana', reason, '{"a": 1.50}', now(), outcome, 7,
           case when outcome is null then null else now() end
    from (values ('b', 'später', 'active'), ('a', E'\\x1f"', null), ('b', '', null), ('a', '', 'superseded'))
        as lines (model, reason, outcome)"""
    try:
        await migrate(connection, [one for one in known if one.number < CHAINED])
        await connection.execute(insert)
        await migrate(connection, known)
        await connection.execute(insert)  # and by the release before
        async with Connections(Address(postgres_url), owner="router", size=1) as connections:
            found = await HISTORY.verify(connections)
        assert (found.broken, found.lines) == ([], 12)
    finally:
        await connection.close()
