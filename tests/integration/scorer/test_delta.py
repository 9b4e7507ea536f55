"""Delta tables as inputs: the rows of the latest version, of tables that delta-rs writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import grpc.aio
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from headrace.scorer.v1 import scorer_pb2 as pb

from tests.kit.refusals import reason_of
from tests.kit.scoring import ScorerRig, created, features, over, scorer

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


async def test_the_latest_version_of_a_delta_table_is_scored_and_nothing_that_it_no_longer_has(scoring: ScorerRig):
    write(scoring, "table", features(3000, seed=1))
    write(scoring, "table", features(2000, seed=2), mode="overwrite")
    write(scoring, "table", features(1000, seed=3), mode="append")
    write(scoring, "split", features(100).append_column("day", [["a"] * 100]), partition_by=["day"])
    scoring.put("plain/a.parquet", b"PAR1")
    refused: Mapping[str, Any] = {
        "INPUT_EMPTY": of_delta(scoring, "plain"),
        "SCHEMA_MISMATCH": of_delta(scoring, "split", keep_columns=["day"]),
    }
    async with scorer(scoring) as (_, stub):
        for reason, spec in refused.items():
            assert await reason_of(created(stub, spec)) == reason
        job = await over(stub, (await created(stub, of_delta(scoring, "table"))).name)
        of_parts = await over(stub, (await created(stub, of_delta(scoring, "split"))).name)
    assert job.state == pb.ScoringJob.STATE_SUCCEEDED, job.reason
    assert job.manifest.rows_out == 3000
    assert of_parts.manifest.rows_out == 100
    assert job.spec.input.format == DELTA


async def test_a_table_whose_files_a_vacuum_has_removed_meanwhile_says_so(scoring: ScorerRig):
    write(scoring, "table", features(100))
    for one in scoring.client.list_objects_v2(Bucket=scoring.s3.bucket, Prefix="table/")["Contents"]:
        if one["Key"].endswith(".parquet"):
            scoring.client.delete_object(Bucket=scoring.s3.bucket, Key=one["Key"])
    async with scorer(scoring) as (_, stub):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await created(stub, of_delta(scoring, "table"))
    assert "vacuum" in (refused.value.details() or "")
