"""Rows of a database's query and of an Iceberg table: read once, at one moment, and scored each once."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import asyncpg
import numpy as np
import pyarrow as pa
import pytest
from headrace.scorer.v1 import scorer_pb2 as pb
from headrace_servicekit.testing import eventually

from tests.kit.clients.refusals import reason_of, refused
from tests.kit.scorer.service import ScorerRig, created, done, features, over, scorer
from tests.kit.wire.forwarder import Forwarder

ROWS = 3000
Source = pb.ScoringSpec.Source


def from_source(rig: ScorerRig, source: pb.ScoringSpec.Source, **how: Any) -> pb.ScoringSpec:
    return rig.spec(input=pb.ScoringSpec.Input(source=source), **how)


def declared(tmp_path: Path, **sources: Any) -> dict[str, str]:
    file = tmp_path / "sources.json"
    file.write_text(json.dumps(sources))
    return {"SCORER_SOURCES_FILE": str(file)}


async def fill(url: str, rows: int) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(
            "create table if not exists customers (id text, x0 float4, x1 float4, x2 float8, x3 int, note numeric)"
        )
        await connection.execute(
            "insert into customers select 'u' || at, at, at / 7.0, sqrt(at), at % 5, at from generate_series(1, $1) at",
            rows,
        )
    finally:
        await connection.close()


def expected(rig: ScorerRig, at: np.ndarray) -> np.ndarray:
    given = np.stack([at, at / 7.0, np.sqrt(at), at % 5], axis=1).astype(np.float32)
    return rig.model.expected({"features": given})["scores"]


@pytest.mark.long
async def test_a_query_is_asked_once_and_its_rows_are_scored(scoring: ScorerRig, tmp_path: Path):
    url = scoring.environment["SCORER_DATABASE_URL"]
    await fill(url, ROWS)
    query = Source(source="warehouse", query="select id, x0, x1, x2, x3 from customers order by x0")
    spec = from_source(scoring, query, options=pb.ScoringOptions(shard_rows=1000, batch_rows=500))
    async with scorer(scoring, declared(tmp_path, warehouse={"type": "postgresql", "uri": url})) as (_, stub):
        job = await over(stub, (await created(stub, spec)).name)
    assert job.state == pb.ScoringJob.STATE_SUCCEEDED, job.reason
    assert job.spec.input.source == query
    assert job.manifest.rows_out == ROWS
    found = scoring.scored(job.output_uri)
    assert found.column("id").to_pylist() == [f"u{at}" for at in range(1, ROWS + 1)]
    scores = np.array(found.column("scores").to_pylist())
    np.testing.assert_allclose(scores, expected(scoring, np.arange(1, ROWS + 1)), rtol=1e-4, atol=1e-4)


@pytest.mark.long
async def test_a_query_that_is_wrong_or_wants_more_than_to_read_is_refused(scoring: ScorerRig, tmp_path: Path):
    url = scoring.environment["SCORER_DATABASE_URL"]
    await fill(url, ROWS)
    async with scorer(scoring, declared(tmp_path, warehouse={"type": "postgresql", "uri": url})) as (_, stub):
        refusals = {
            "no source is called so": Source(source="elsewhere", query="select 1"),
            "no table of a database": Source(source="warehouse", table="public.customers"),
            "no such column": Source(source="warehouse", query="select gone from customers"),
            "two statements": Source(source="warehouse", query="select 1; drop table customers"),
            "a way out of the query": Source(source="warehouse", query="select 1) to program 'touch /tmp/x' --"),
        }
        for told, source in refusals.items():
            assert await reason_of(created(stub, from_source(scoring, source))) == "SOURCE_UNUSABLE", told
        number = Source(source="warehouse", query="select id, x0, x1, x2, note as x3 from customers")
        wrong = await refused(created(stub, from_source(scoring, number)))
        assert (wrong.reason, "column 'x3'" in wrong.violations[0].description) == ("MAPPING_MISMATCH", True)
        writes = Source(source="warehouse", query="insert into customers values ('x') returning id, x0, x1, x2, x3")
        job = await over(stub, (await created(stub, from_source(scoring, writes))).name)
        assert (job.state, job.failure) == (pb.ScoringJob.STATE_FAILED, "SOURCE_UNUSABLE")
        assert "read-only" in job.reason


@pytest.mark.faults
@pytest.mark.long
async def test_while_the_database_of_a_query_is_away_the_job_waits_and_reads_it_anew(
    scoring: ScorerRig, tmp_path: Path
):
    url = scoring.environment["SCORER_DATABASE_URL"]
    await fill(url, ROWS)
    query = Source(
        source="warehouse", query="select id, x0, x1, x2, x3 from customers where pg_sleep(0.001) is not null"
    )
    async with Forwarder.before(url) as database:
        told = declared(tmp_path, warehouse={"type": "postgresql", "uri": database.url(url)})
        async with scorer(scoring, told) as (_, stub):
            database.cut()
            assert await reason_of(created(stub, from_source(scoring, query))) == "SOURCE_UNAVAILABLE"
            database.mend()
            job = await created(stub, from_source(scoring, query))
            await eventually(lambda: _asked(url), within=30)
            database.cut()

            async def waits() -> bool:
                found = (await stub.GetScoringJob(pb.GetScoringJobRequest(name=job.name), timeout=10)).job
                told = "waits: source 'warehouse' cannot be asked (server closed the connection"
                return found.reason.startswith(told)

            await eventually(waits, within=60)
            await fill(url, 10)
            database.mend()
            job = await done(stub, job.name, 2)
    assert job.state == pb.ScoringJob.STATE_SUCCEEDED, job.reason
    assert job.manifest.rows_out == ROWS + 10
    assert len([name for name in scoring.objects(job.output_uri) if name.startswith("_input/")]) == 1


async def _asked(url: str) -> bool:
    connection = await asyncpg.connect(url)
    try:
        asked = "select count(*) from pg_stat_activity where query like '%pg_sleep%' and pid <> pg_backend_pid()"
        return await connection.fetchval(asked) > 0
    finally:
        await connection.close()


def lake(rig: ScorerRig, tmp_path: Path) -> dict[str, str]:
    return {
        "type": "sql",
        "uri": f"sqlite:///{tmp_path}/catalog.db",
        "warehouse": f"s3://{rig.s3.bucket}/lake",
        "s3.endpoint": rig.s3.endpoint,
        "s3.access-key-id": rig.s3.access_key,
        "s3.secret-access-key": rig.s3.secret_key,
        "s3.region": rig.s3.region,
    }


@pytest.mark.long
async def test_an_iceberg_table_is_scored_as_its_snapshot_is_with_what_was_deleted_and_renamed(
    scoring: ScorerRig, tmp_path: Path
):
    properties = lake(scoring, tmp_path)

    def write() -> None:
        from pyiceberg.catalog import load_catalog  # takes a second that every worker would wait when it collects tests

        catalog = load_catalog("lake", **properties)
        catalog.create_namespace("sales")
        first = features(ROWS, seed=1).rename_columns(["id", "old", "x1", "x2", "x3"])
        table = catalog.create_table("sales.customers", schema=first.schema)
        table.append(first)
        with table.update_schema() as schema:
            schema.rename_column("old", "x0")
        table.append(pa.table({"id": ["late"], **{f"x{at}": pa.array([0.5], pa.float32()) for at in range(4)}}))
        table.delete("id = 'u7'")

    await asyncio.to_thread(write)
    spec = from_source(scoring, Source(source="lake", table="sales.customers"))
    # The keys of the scorer's own S3 need not be told.
    told = {name: value for name, value in properties.items() if not name.startswith("s3.")}
    async with scorer(scoring, declared(tmp_path, lake={"type": "iceberg", "properties": told})) as (_, stub):
        gone = Source(source="lake", table="sales.gone")
        assert await reason_of(created(stub, from_source(scoring, gone))) == "SOURCE_UNUSABLE"
        estimate = pb.EstimateScoringJobRequest(parent=job_parent(scoring), spec=spec)
        assert await reason_of(stub.EstimateScoringJob(estimate, timeout=60)) == "SPEC_INVALID"
        job = await over(stub, (await created(stub, spec)).name)
    assert job.state == pb.ScoringJob.STATE_SUCCEEDED, job.reason
    assert job.manifest.rows_out == ROWS
    found = scoring.scored(job.output_uri)
    answered = dict(zip(found.column("id").to_pylist(), found.column("scores").to_pylist(), strict=True))
    assert ("u7" in answered, "late" in answered) == (False, True)
    table = features(ROWS, seed=1)
    given = np.stack([table.column(f"x{at}").to_numpy() for at in range(4)], axis=1)
    scores = scoring.model.expected({"features": given})["scores"]
    np.testing.assert_allclose(answered["u8"], scores[8], rtol=1e-4, atol=1e-5)


def job_parent(rig: ScorerRig) -> str:
    (model,) = rig.registry.models
    return f"models/{model}"


@pytest.mark.parametrize("content", ["{", '{"warehouse": {"uri": "postgresql://ada:secret@db/x"}}'])
async def test_a_file_of_sources_that_is_damaged_is_said_without_what_is_in_it(
    scoring: ScorerRig, tmp_path: Path, content: str
):
    file = tmp_path / "sources.json"
    file.write_text(content)
    async with scorer(scoring, {"SCORER_SOURCES_FILE": str(file)}) as (_, stub):
        found = await refused(created(stub, from_source(scoring, Source(source="warehouse", query="select 1"))))
    assert found.reason == "SOURCE_UNAVAILABLE"
    assert "secret" not in found.public_message
