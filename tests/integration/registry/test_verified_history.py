"""Whether the history of models is what was written, as an operator asks it, on a PostgreSQL that somebody edits."""

import json

import asyncpg
from headrace_registry.storage.postgres import HISTORY
from headrace_servicekit.postgres.connections import Address, Connections
from headrace_servicekit.postgres.head_storage import heads_of, store
from headrace_servicekit.postgres.history import BrokenLine
from headrace_servicekit.postgres.migrations import migrate
from headrace_servicekit.postgres.sql import load_migrations

from tests.integration.registry.test_backup import command, fill
from tests.kit.registry.service import real_registry

CHAINED = 10
"""The migration that brought digests."""

LINES = """
insert into events (model, epoch, ordinal, action, version, alias, client, reason, create_time, signature_breaks,
                    serving_change)
select model, epoch, ordinal, 'PROMOTED', 'v1', '', 'ada', reason, '2031-02-03 04:05:06.000007+01',
       array['a "b"', 'c'], '{"z": 1.50, "long": [null, "x"]}'
from jsonb_to_recordset($1) as lines (model text, epoch bigint, ordinal int, reason text)
"""
REASONS = [("b", 2, 0, "später"), ("a", 10, 0, '\x1f\\"\n'), ("a", 9, 1, ""), ("a", 9, 0, "\x7f"), ("b", 1, 0, "🐝")]


async def test_history_from_before_there_were_digests_gets_them_and_so_does_a_backup_of_it(postgres_url):
    known = load_migrations("headrace_registry.storage.sql")
    connection = await asyncpg.connect(postgres_url, timeout=10)
    lines = [dict(zip(("model", "epoch", "ordinal", "reason"), line, strict=True)) for line in REASONS]
    try:
        await migrate(connection, [one for one in known if one.number < CHAINED])
        await connection.execute("set session_replication_role = replica")  # no models to refer to
        await connection.execute(LINES, json.dumps(lines))
        await connection.execute("set session_replication_role = origin")
        await migrate(connection, known)
        async with Connections(Address(postgres_url), owner="registry", size=1) as connections:
            assert (await HISTORY.verify(connections)).broken == []

            await connection.execute("truncate events cascade")
            await connection.execute("alter table events drop constraint events_model_fkey")
            lines.sort(key=lambda line: (line["model"], line["epoch"], line["ordinal"]))
            await connection.execute(LINES, json.dumps(lines))
            found = await HISTORY.verify(connections)
            assert (found.broken, found.lines, found.heads["a"].place) == ([], len(REASONS), (10, 0))
    finally:
        await connection.close()


async def test_a_line_of_history_that_somebody_edits_or_removes_is_found(postgres_url, s3, tmp_path):
    kept = tmp_path / "heads.json"
    async with (
        real_registry(postgres_url, s3, tmp_path) as real,
        Connections(Address.of(real.runtime.settings), owner="registry", size=1) as connections,
    ):
        settings = real.runtime.settings
        await fill(real)
        code, told, said = await command(settings, "verify", "--out", str(kept))
        assert (code, told["models"], told["broken"]) == (0, 2, []), said
        await real.promote("digits", "v2")
        connection = await asyncpg.connect(settings.database_url)
        try:
            # With the rights of whoever owns the database: triggers keep everybody else from it.
            await connection.execute("alter table events disable trigger events_append_only")
            await connection.execute("create table events_before as table events")
            second = await connection.fetchrow(
                "select epoch, ordinal from events where model = 'digits' order by epoch, ordinal offset 1 limit 1"
            )
            changed = BrokenLine("digits", tuple(second), "CHANGED")

            await connection.execute(
                "update events set client = 'mallory' where model = 'digits' and (epoch, ordinal) = ($1, $2)", *second
            )
            assert (await HISTORY.verify(connections)).broken == [changed]
            code, told, _ = await command(settings, "verify", "--out", str(tmp_path / "never.json"))
            assert (code, told["broken"]) == (3, [{"model": "digits", **dict(second), "reason": "CHANGED"}])
            assert not (tmp_path / "never.json").exists()

            # Also by whoever makes the database's own function say what it is to say, or takes the digests away.
            digest = await connection.fetchval("select pg_get_functiondef('event_digest'::regproc)")
            await connection.execute(
                "create or replace function event_digest(before bytea, line events) returns bytea "
                "language sql stable as $$ select line.chain $$"
            )
            assert (await HISTORY.verify(connections)).broken == [changed]
            await connection.execute("alter table events alter column chain drop not null")
            await connection.execute("update events set chain = null where model = 'digits'")
            first = await connection.fetchrow(
                "select epoch, ordinal from events where model = 'digits' order by epoch, ordinal limit 1"
            )
            assert (await HISTORY.verify(connections, HISTORY.read_heads(kept))).broken[0] == changed._replace(
                place=tuple(first)
            )
            await connection.execute(digest)
            await connection.execute("delete from events where model = 'digits'")
            await connection.execute("insert into events select * from events_before where model = 'digits'")
            await connection.execute(
                "update events set client = 'mallory' where model = 'digits' and (epoch, ordinal) = ($1, $2)", *second
            )

            # Who writes the digests anew from there on is found out by what was kept elsewhere.
            rows = await connection.fetch("delete from events where model = 'digits' returning *")
            for row in sorted(rows, key=lambda row: (row["epoch"], row["ordinal"])):
                values = {**dict(row), "chain": None}
                places = ", ".join(f"${n + 1}" for n in range(len(values)))
                await connection.execute(
                    f"insert into events ({', '.join(values)}) values ({places})", *values.values()
                )
            since = HISTORY.read_heads(kept)
            assert (await HISTORY.verify(connections)).broken == []
            assert [one.reason for one in (await HISTORY.verify(connections, since)).broken] == ["REWRITTEN"]

            # So is who takes the last lines away.
            await connection.execute("delete from events where model = 'digits' and epoch > $1", second["epoch"])
            assert (await HISTORY.verify(connections)).broken == []
            assert [one.reason for one in (await HISTORY.verify(connections, since)).broken] == ["GONE"]

            await connection.execute("delete from events where model = 'digits'")
            await connection.execute("insert into events select * from events_before where model = 'digits'")
            assert (await HISTORY.verify(connections, since)).broken == []
        finally:
            await connection.close()


async def test_a_history_that_somebody_shortened_or_emptied_says_so_by_what_the_registry_kept_in_s3(
    postgres_url, s3, tmp_path
):
    async with (
        real_registry(postgres_url, s3, tmp_path) as real,
        Connections(Address.of(real.runtime.settings), owner="registry", size=1) as connections,
        heads_of(HISTORY)(real.runtime.settings) as keeper,
    ):
        settings = real.runtime.settings
        assert keeper is not None
        await fill(real)
        await store(HISTORY, connections, keeper)  # as its loop does
        newest = await keeper.newest()
        assert newest is not None
        assert not await keeper.keep(newest[0], b"{}")  # what is there is written once
        assert await keeper.newest() == newest
        await real.promote("digits", "v2")
        code, told, said = await command(settings, "verify")
        assert (code, told["kept"], told["broken"]) == (0, 2, []), said

        connection = await asyncpg.connect(settings.database_url)
        try:
            await connection.execute("set session_replication_role = replica")
            await connection.execute("create table events_before as table events")
            await connection.execute(
                "delete from events where model = 'digits' and epoch = (select max(epoch) from events "
                "where model = 'digits')"
            )
            code, told, _ = await command(settings, "verify")
            assert (code, [(one["model"], one["reason"]) for one in told["broken"]]) == (3, [("digits", "GONE")])

            await connection.execute("delete from events")
            before = await keeper.newest()
            await store(HISTORY, connections, keeper)  # nor does the loop put the empty one in its place
            assert await keeper.newest() == before
            code, told, _ = await command(settings, "verify")
            assert (code, told["models"], [one["reason"] for one in told["broken"]]) == (3, 0, ["GONE", "GONE"])

            # Who means it, as after a restore, says why, and that stays there.
            assert (await command(settings, "verify", "--new-sequence", "restored the backup of May"))[0] == 0
            assert (await command(settings, "verify"))[0] == 0
            newest = await keeper.newest()
            assert newest is not None
            assert b"restored the backup of May" in newest[1]
        finally:
            await connection.close()
