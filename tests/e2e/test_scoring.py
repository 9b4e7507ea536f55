"""A table in S3 scored through the front door of the whole stack, by the command line, and read back by REST."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import boto3
import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from headrace_client import Client
from headrace_client.errors import PreconditionFailed
from headrace_servicekit.testing import eventually
from headrace_stack.components import s3

from tests.kit.clients.headrace_cli import GOOD, Headrace
from tests.kit.models.onnx_models import linear, slow
from tests.kit.stack.running import RunningStack

pytestmark = pytest.mark.timeout(300)

MODEL = "scored-offline"
BUCKET = "headrace-scoring"


def store(stack: RunningStack) -> Any:
    """Return a client of the stack's S3."""
    keys = s3.keys(stack.settings)
    session: Any = boto3.Session(keys.access_key, keys.secret_key, region_name="us-east-1")
    return session.client("s3", endpoint_url=s3.endpoint(stack.settings))


def put(stack: RunningStack, model: str, table: pa.Table) -> str:
    """Write a table for a model, and return where it is."""
    file = io.BytesIO()
    pq.write_table(table, file, row_group_size=1000)
    store(stack).put_object(Bucket=BUCKET, Key=f"{model}/a.parquet", Body=file.getvalue())
    return f"s3://{BUCKET}/{model}"


def test_a_table_is_scored_by_the_command_line_and_read_back_by_rest(stack: RunningStack, tmp_path: Path):
    headrace = Headrace(stack, tmp_path, MODEL)
    headrace("models", "register", MODEL, "v1", headrace.file("v1.onnx", linear()), *GOOD)
    table = pa.table({"id": ["a", "b", "c"], **{f"features_{at}": [1.0, 2.0, None] for at in range(4)}})
    client, uri = store(stack), put(stack, MODEL, table)

    refused = headrace("jobs", "submit", MODEL, "--input", uri, "--version", "v1", "--tensor", "features=id", code=2)
    assert refused["error"]["reason"] == "MAPPING_MISMATCH"
    assert refused["error"]["remedy"]
    job = headrace(
        *("jobs", "submit", MODEL, "--input", uri, "--version", "v1", "--keep", "id", "--watch"),
        *("--max-rejected-share", "0.5", "--column", "best=list_max(scores)"),
    )
    assert (job["state"], job["manifest"]["rows_out"], job["manifest"]["rows_rejected"]) == (
        "STATE_SUCCEEDED",
        "2",
        "1",
    )

    headers = {"authorization": f"Bearer {stack.token()}"}
    read = httpx.get(f"{stack.url}/v1/{job['name']}", headers=headers, timeout=30).json()
    assert read["job"]["manifest"]["digest"] == job["manifest"]["digest"]
    listed = client.list_objects_v2(Bucket=BUCKET, Prefix=job["output_uri"].removeprefix(f"s3://{BUCKET}/"))
    (results,) = [one["Key"] for one in listed["Contents"] if one["Key"].endswith(".parquet")]
    scored = pq.read_table(io.BytesIO(client.get_object(Bucket=BUCKET, Key=results)["Body"].read()))
    assert scored.column_names == ["id", "best"]
    assert scored.column("id").to_pylist() == ["a", "b"]
    types = [event["type"] for event in headrace("jobs", "history", MODEL)["events"]]
    assert types == ["succeeded", "running", "planning", "created"]


@pytest.mark.faults
@pytest.mark.long
async def test_while_a_job_scores_with_a_version_that_may_be_archived_and_its_model_not_deleted(
    stack: RunningStack, tmp_path: Path
):
    headrace = Headrace(stack, tmp_path, f"{MODEL}-held")
    headrace("models", "register", headrace.model, "v1", headrace.file("v1.onnx", slow(150)), *GOOD)
    table = pa.table({"id": range(20_000), **{f"f{at}": [1.0] * 20_000 for at in range(4)}})
    job = headrace(
        *("jobs", "submit", headrace.model, "--input", put(stack, headrace.model, table), "--version", "v1"),
        *("--tensor", "x=f0,f1,f2,f3", "--keep", "id", "--batch-rows", "100", "--shard-rows", "1000"),
    )
    headrace("models", "promote", headrace.model, "v1", "--to", "archived")
    with Client(stack.url, token=stack.token()) as client:
        with pytest.raises(PreconditionFailed) as refused:
            client.models.delete(headrace.model)
        assert refused.value.reason == "MODEL_IN_USE"
        assert "scoringJobs/" in str(refused.value)
        done = headrace("jobs", "watch", job["name"].removeprefix("models/").replace("/scoringJobs", ""))
        assert (done["state"], done["manifest"]["rows_out"]) == ("STATE_SUCCEEDED", "20000"), done
    # The hold is released after the job's end, by whichever scorer claims it.
    delete = ("models", "delete", headrace.model, "--yes")
    await eventually(lambda: headrace.run(*delete).exit_code == 0, within=30, every=0.2)
