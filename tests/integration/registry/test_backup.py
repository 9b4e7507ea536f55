"""Backup and restore as an operator runs them: commands beside a registry on real PostgreSQL and S3."""

import argparse
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aioboto3
import asyncpg
import grpc.aio
import pytest
from google.protobuf import duration_pb2
from headrace.registry.v1 import approval_pb2, approval_pb2_grpc, registry_pb2
from headrace_registry.commands import COMMANDS
from headrace_registry.settings import RegistrySettings
from headrace_servicekit import commands
from headrace_servicekit.errors import Code, ServiceError

from tests.kit.clients.commands import PYTHON, run
from tests.kit.clients.refusals import refused
from tests.kit.models import onnx_models
from tests.kit.registry.service import Registry, as_json, caller, real_registry
from tests.kit.stores.servers import S3Store

STAGING = registry_pb2.ModelVersion.STAGE_STAGING


async def command(settings: RegistrySettings, *words: str) -> tuple[int, Any, str]:
    """Run a command of the registry in this process; return its exit code, what it prints, and what it complains of."""
    parser = argparse.ArgumentParser()
    commands.add_commands(parser, COMMANDS)
    options = parser.parse_args(words)
    try:
        document = await options.command.act(settings, options)
    except commands.Incomplete as incomplete:
        return commands.EXIT_INCOMPLETE, incomplete.document, ""
    except (commands.CommandError, ServiceError) as error:
        return commands.EXIT_FAILED, None, str(error)
    return commands.EXIT_OK, document, ""


async def typed(settings: RegistrySettings, *words: str) -> tuple[int, Any, str]:
    """Run a command as somebody types it, in a process of its own."""
    environment = {
        "PATH": os.environ["PATH"],
        "REGISTRY_DATABASE_URL": settings.database_url,
        "REGISTRY_S3_ENDPOINT": settings.s3_endpoint,
        "REGISTRY_S3_BUCKET": settings.s3_bucket,
        "REGISTRY_S3_CREDENTIALS_FILE": str(settings.s3_credentials_file),
    }
    done = await run(*PYTHON, "headrace_registry", *words, environment=environment)
    return done.exit_code, json.loads(done.stdout) if done.stdout else None, done.stderr


async def fill(registry: Registry) -> registry_pb2.ModelVersion:
    """Make something of everything that a registry keeps."""
    await registry.register("digits", "v1", onnx_models.linear(4, 3), metadata=caller("ann"))
    lineage = registry_pb2.Lineage(parent_version="v1", run="run-1")
    second = await registry.register("digits", "v2", onnx_models.linear(4, 3, seed=2), lineage=lineage)
    await registry.promote("digits", "v1", reason='erste "Zeile"\nund zweite', request_id="once")
    await registry.promote("digits", "v2", STAGING)
    alias = registry_pb2.SetAliasRequest(name="models/digits/aliases/champion", version="v1")
    await registry.stub.SetAlias(alias, timeout=20)
    measured = registry_pb2.RecordMeasuredMetricsRequest(
        name=second.name,
        digest=second.digest,
        metrics=[registry_pb2.Metric(name="p99", value=1 / 3)],
        source_process="batcher/a",
    )
    await registry.stub.RecordMeasuredMetrics(measured, timeout=20)
    hold = registry_pb2.HoldVersionRequest(name=second.name, holder="audit", ttl=duration_pb2.Duration(seconds=3600))
    await registry.stub.HoldVersion(hold, timeout=20)
    await registry.register("gone", "v1")
    await registry.stub.DeleteModel(registry_pb2.DeleteModelRequest(name="models/gone"), timeout=20)
    return second


async def content(registry: Registry) -> dict[str, Any]:
    """Return all that a registry answers of its models, etags apart: these are of an incarnation."""
    stub = registry.stub
    models = [as_json(model) for model in (await stub.ListModels(registry_pb2.ListModelsRequest())).models]
    for model in models:
        del model["etag"]
    found: dict[str, Any] = {"models": models}
    for name in ("digits", "gone"):
        parent = f"models/{name}"
        found[f"events {name}"] = as_json(
            await stub.ListModelEvents(registry_pb2.ListModelEventsRequest(parent=parent))
        )
    versions = await stub.ListModelVersions(registry_pb2.ListModelVersionsRequest(parent="models/digits"))
    found["versions"] = as_json(versions)
    found["holds"] = as_json(await stub.ListHolds(registry_pb2.ListHoldsRequest(parent="models/digits")))
    request = registry_pb2.ListMeasurementsRequest(parent="models/digits/versions/v2")
    found["measurements"] = as_json(await stub.ListMeasurements(request))
    return found


async def code_and_reason(call) -> tuple[Code, str]:
    error = await refused(call)
    return error.code, error.reason


async def test_a_restore_under_a_running_registry_brings_back_yesterday_and_voids_what_came_after(real, tmp_path):
    second = await fill(real)
    yesterday = await content(real)
    code, made, _ = await command(real.runtime.settings, "backup", "--out", str(tmp_path / "backup"))
    assert code == 0
    assert made["tables"]["versions"]["rows"] == 3

    await real.promote("digits", "v2", reason="today")
    await real.register("today", "v1")
    today = await real.model("digits")
    watch = real.stub.WatchModels(registry_pb2.WatchModelsRequest(), timeout=60)
    messages = aiter(watch)
    while not (last := await anext(messages)).snapshot_complete:
        pass

    assert (await command(real.runtime.settings, "verify"))[0] == 0  # which keeps the ends of today's histories
    code, _, said = await command(real.runtime.settings, "restore", "--from", str(tmp_path / "backup"))
    assert code == 1
    assert "--replace" in said
    code, restored, said = await command(
        real.runtime.settings, "restore", "--from", str(tmp_path / "backup"), "--replace"
    )
    assert (code, restored["files_missing"]) == (0, []), said
    assert restored["incarnation"] != restored["backup_of"] == last.incarnation
    code, told, said = await command(real.runtime.settings, "verify")
    assert (code, told["kept"], told["broken"]) == (0, 2, []), said

    assert await code_and_reason(anext(messages)) == (Code.UNAVAILABLE, "INCARNATION_CHANGED")
    resumed = real.stub.WatchModels(registry_pb2.WatchModelsRequest(resume_token=last.resume_token), timeout=60)
    snapshot = [message async for message in _until_complete(resumed)]
    assert [message.model.name for message in snapshot[:-1]] == ["models/digits"]
    assert {message.incarnation for message in snapshot} == {restored["incarnation"]}

    assert await content(real) == yesterday
    assert await code_and_reason(real.promote("digits", "v2", etag=today.etag)) == (Code.ABORTED, "ETAG_MISMATCH")
    # What was answered before the backup is answered again; what came after it happens anew.
    repeated = await real.promote("digits", "v1", reason='erste "Zeile"\nund zweite', request_id="once")
    assert repeated.model.production_version == "v1"
    assert (await real.promote("digits", "v2", reason="today")).model.production_version == "v2"
    await real.register("today", "v1")
    again = registry_pb2.RecordMeasuredMetricsRequest(
        name=second.name,
        digest=second.digest,
        metrics=[registry_pb2.Metric(name="p99", value=0.5)],
        source_process="batcher/a",
    )
    await real.stub.RecordMeasuredMetrics(again, timeout=20)
    assert await code_and_reason(real.register("gone", "v1")) == (Code.ALREADY_EXISTS, "MODEL_DELETED")


async def _until_complete(watch):
    async for message in watch:
        yield message
        if message.snapshot_complete:
            watch.cancel()
            return


@pytest.fixture
async def elsewhere(postgres_url, s3, tmp_path):
    """A registry whose backup goes elsewhere, and the settings of that place: an empty database and an empty bucket."""
    connection = await asyncpg.connect(postgres_url, timeout=10)
    name = urlsplit(postgres_url).path.removeprefix("/")
    await connection.execute(f'create database "{name}_2"')
    other_url = postgres_url.replace(name, f"{name}_2")
    async with real_registry(postgres_url, s3, tmp_path) as registry:
        settings = registry.runtime.settings.model_copy(
            update={"database_url": other_url, "s3_bucket": f"{s3.bucket}-2", "port": 0}
        )
        yield registry, settings, other_url
    await _remove_bucket(s3, settings.s3_bucket)
    await connection.execute(f'drop database "{name}_2" with (force)')
    await connection.close()


async def _remove_bucket(s3: S3Store, bucket: str) -> None:
    session: Any = aioboto3.Session(aws_access_key_id=s3.access_key, aws_secret_access_key=s3.secret_key)
    async with session.client("s3", endpoint_url=s3.endpoint, region_name=s3.region) as client:
        for item in (await client.list_objects_v2(Bucket=bucket)).get("Contents", ()):
            await client.delete_object(Bucket=bucket, Key=item["Key"])
        await client.delete_bucket(Bucket=bucket)


async def test_a_backup_with_files_makes_a_whole_registry_elsewhere(elsewhere, s3: S3Store, tmp_path: Path):
    registry, settings, other_url = elsewhere
    await fill(registry)
    expected, folder = await content(registry), tmp_path / "backup"
    assert (await command(registry.runtime.settings, "backup", "--out", str(folder), "--blobs"))[0] == 0
    assert folder.stat().st_mode & 0o077 == 0
    code, restored, said = await command(settings, "restore", "--from", str(folder))
    assert (code, restored["files_missing"]) == (0, []), said
    assert restored["files_uploaded"] == len(list((folder / "blobs/sha256").iterdir())) == 2
    async with real_registry(other_url, replace(s3, bucket=settings.s3_bucket), tmp_path) as other:
        assert await content(other) == expected
        await other.register("digits", "v3", onnx_models.linear(4, 3, seed=3))


async def test_files_that_are_nowhere_are_told_and_mended_by_another_upload(elsewhere, s3: S3Store, tmp_path: Path):
    registry, settings, other_url = elsewhere
    file = onnx_models.linear(4, 3)
    await registry.register("digits", "v1", file)
    folder = tmp_path / "backup"
    assert (await command(registry.runtime.settings, "backup", "--out", str(folder)))[0] == 0
    code, restored, _ = await command(settings, "restore", "--from", str(folder))
    assert (code, len(restored["files_missing"])) == (3, 1)
    async with real_registry(other_url, replace(s3, bucket=settings.s3_bucket), tmp_path) as other:
        assert await other.upload(file.content) == restored["files_missing"][0]
        await other.register("digits", "v2", file)


async def test_a_backup_that_is_damaged_or_unfinished_is_refused_and_changes_nothing(real, tmp_path):
    await real.register("digits", "v1")
    folder = tmp_path / "backup"
    assert (await command(real.runtime.settings, "backup", "--out", str(folder)))[0] == 0
    code, _, said = await command(real.runtime.settings, "backup", "--out", str(folder))
    assert code == 1
    assert "not empty" in said
    events = folder / "tables" / "events.jsonl"
    whole = events.read_text()
    events.write_text(whole.replace("internal", "somebody"))
    code, _, said = await command(real.runtime.settings, "restore", "--from", str(folder), "--replace")
    assert (code, "damaged" in said) == (1, True)
    (folder / "manifest.json").unlink()
    code, _, said = await command(real.runtime.settings, "restore", "--from", str(folder), "--replace")
    assert (code, "not finished" in said) == (1, True)
    assert (await real.model("digits")).epoch == 1


async def test_a_dry_run_of_collection_tells_what_it_would_do(real):
    await real.upload(onnx_models.linear(4, 3).content)
    code, told, said = await command(real.runtime.settings, "collect", "--dry-run")
    assert (code, told["dry_run"], told["files_removed"]) == (0, True, []), said


async def test_the_schema_and_the_bucket_may_come_before_the_service(real: Registry):
    code, told, said = await typed(real.runtime.settings, "migrate")
    assert code == 0, said
    assert told == {"database": "has the schema of this version", "bucket": real.runtime.settings.s3_bucket}


@pytest.mark.parametrize("old", [False, True])
async def test_requests_for_promotion_come_back_and_a_backup_from_before_them_is_taken(real, tmp_path, old: bool):
    await fill(real)
    async with grpc.aio.insecure_channel(real.target) as channel:
        approvals = approval_pb2_grpc.ApprovalServiceStub(channel)
        policy = approval_pb2.PutApprovalPolicyRequest(
            parent="models/digits", policy=approval_pb2.ApprovalPolicy(approvals=2)
        )
        await approvals.PutApprovalPolicy(policy, timeout=20, metadata=caller("root"))
        asking = approval_pb2.RequestPromotionRequest(name="models/digits/versions/v2", reason="better")
        made = (await approvals.RequestPromotion(asking, timeout=20, metadata=caller("ann"))).request
        folder = tmp_path / "backup"
        assert (await command(real.runtime.settings, "backup", "--out", str(folder)))[0] == 0
        if old:
            manifest = json.loads((folder / "manifest.json").read_text())
            del manifest["tables"]["promotion_requests"]
            (folder / "manifest.json").write_text(json.dumps(manifest))
            (folder / "tables" / "promotion_requests.jsonl").unlink()
        code, _, said = await command(real.runtime.settings, "restore", "--from", str(folder), "--replace")
        assert code == 0, said
        listed = await approvals.ListPromotionRequests(approval_pb2.ListPromotionRequestsRequest(), timeout=20)
        assert list(listed.requests) == ([] if old else [made])
        kept = await approvals.GetApprovalPolicy(
            approval_pb2.GetApprovalPolicyRequest(parent="models/digits"), timeout=20
        )
        assert kept.policy.approvals == 2
