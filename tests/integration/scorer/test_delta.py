"""Delta tables as inputs: the rows of the latest version, of tables that delta-rs writes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import grpc.aio
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from headrace.scorer.v1 import scorer_pb2 as pb

from tests.kit.clients.refusals import reason_of
from tests.kit.scorer.service import ScorerRig, created, features, over, scorer

DELTA = pb.ScoringSpec.Input.FORMAT_DELTA


def options(rig: ScorerRig) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": rig.s3.endpoint,
        "AWS_ACCESS_KEY_ID": rig.s3.access_key,
        "AWS_SECRET_ACCESS_KEY": rig.s3.secret_key,
        "AWS_REGION": rig.s3.region,
        "AWS_ALLOW_HTTP": "true",
    }


def write(rig: ScorerRig, prefix: str, table: pa.Table, **how: Any) -> None:
    write_deltalake(f"s3://{rig.s3.bucket}/{prefix}", table, storage_options=options(rig), **how)


def of_delta(rig: ScorerRig, prefix: str, **how: Any) -> pb.ScoringSpec:
    return rig.spec(input=pb.ScoringSpec.Input(uri=f"s3://{rig.s3.bucket}/{prefix}", format=DELTA), **how)


@pytest.mark.long
async def test_the_latest_version_of_a_delta_table_is_scored_and_nothing_that_it_no_longer_has(scoring: ScorerRig):
    write(scoring, "table", features(3000, seed=1))
    write(scoring, "table", features(2000, seed=2), mode="overwrite")
    write(scoring, "table", features(1000, seed=3), mode="append")
    # As of a time: writers encode such a value in the name of its folder, and that name once more in the log.
    write(scoring, "a split", features(100).append_column("day", [["2026-11-29 00:00"] * 100]), partition_by=["day"])
    scoring.put("plain/a.parquet", b"PAR1")
    refused: Mapping[str, Any] = {
        "INPUT_EMPTY": of_delta(scoring, "plain"),
        "SCHEMA_MISMATCH": of_delta(scoring, "a split", keep_columns=["day"]),
    }
    async with scorer(scoring) as (_, stub):
        for reason, spec in refused.items():
            assert await reason_of(created(stub, spec)) == reason
        job = await over(stub, (await created(stub, of_delta(scoring, "table"))).name)
        of_parts = await over(stub, (await created(stub, of_delta(scoring, "a split"))).name)
    assert job.state == pb.ScoringJob.STATE_SUCCEEDED, job.reason
    assert job.manifest.rows_out == 3000
    assert of_parts.manifest.rows_out == 100
    assert job.spec.input.format == DELTA


@pytest.mark.long
async def test_a_table_whose_files_a_vacuum_has_removed_meanwhile_says_so(scoring: ScorerRig):
    write(scoring, "table", features(100))
    for one in scoring.client.list_objects_v2(Bucket=scoring.s3.bucket, Prefix="table/")["Contents"]:
        if one["Key"].endswith(".parquet"):
            scoring.client.delete_object(Bucket=scoring.s3.bucket, Key=one["Key"])
    async with scorer(scoring) as (_, stub):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await created(stub, of_delta(scoring, "table"))
    assert "vacuum" in (refused.value.details() or "")


def rewrite(rig: ScorerRig, prefix: str, change: Mapping[str, Mapping[str, Any]]) -> None:
    """Change the actions of a table's first version, by kind."""
    place = {"Bucket": rig.s3.bucket, "Key": f"{prefix}/_delta_log/{0:020}.json"}
    actions = [json.loads(line) for line in rig.client.get_object(**place)["Body"].read().splitlines()]
    for kind, values in change.items():
        next(one for one in actions if kind in one)[kind].update(values)
    rig.client.put_object(**place, Body="\n".join(map(json.dumps, actions)))


@pytest.mark.long
async def test_a_table_whose_files_are_not_what_its_schema_says_or_not_its_own_is_refused_by_name(scoring: ScorerRig):
    # No reader feature says it: two columns have exchanged their names, and the files are as before.
    files = {"id": "id", "x0": "x1", "x1": "x0", "x2": "x2", "x3": "x3"}
    fields = [
        {
            "name": name,
            "type": "string" if name == "id" else "float",
            "nullable": True,
            "metadata": {"delta.columnMapping.id": at, "delta.columnMapping.physicalName": physical},
        }
        for at, (name, physical) in enumerate(files.items(), start=1)
    ]
    mapped = {
        "configuration": {"delta.columnMapping.mode": "name", "delta.columnMapping.maxColumnId": "5"},
        "schemaString": json.dumps({"type": "struct", "fields": fields}),
    }
    changes: dict[str, tuple[str, Mapping[str, Mapping[str, Any]]]] = {
        "mapped": ("FORMAT_UNKNOWN", {"metaData": mapped, "protocol": {"minReaderVersion": 2, "minWriterVersion": 5}}),
        "beside": ("INPUT_UNREADABLE", {"add": {"path": "%2e%2e/secret/a.parquet"}}),
        "clone": ("INPUT_UNREADABLE", {"add": {"path": f"s3://{scoring.s3.bucket}/secret/a.parquet"}}),
        "damaged": ("INPUT_UNREADABLE", {"add": {"size": "many"}}),
    }
    async with scorer(scoring) as (_, stub):
        for prefix, (reason, change) in changes.items():
            write(scoring, prefix, features(100))
            rewrite(scoring, prefix, change)
            assert await reason_of(created(stub, of_delta(scoring, prefix))) == reason, prefix
