"""Commands beside the monitor: its schema and bucket, and its log as files that another store can be filled from."""

from __future__ import annotations

import os
import subprocess
import sys
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import pytest
from headrace_monitor import commands
from headrace_monitor.record.log import copies
from headrace_monitor.record.log.objects import Objects
from headrace_monitor.settings import MonitorSettings
from headrace_servicekit.s3 import Place

from tests.kit.stores.servers import S3Store


def place(s3: S3Store, folder: Path, bucket: str) -> Place:
    credentials = folder / "s3.credentials"
    keys = f"aws_access_key_id = {s3.access_key}\naws_secret_access_key = {s3.secret_key}\n"
    credentials.write_text(f"[default]\n{keys}", encoding="utf-8")
    return Place(s3.endpoint, bucket, s3.region, credentials)


async def test_the_schema_and_the_bucket_are_made_once_and_the_incarnation_renewed(postgres_url, s3, tmp_path):
    at = place(s3, tmp_path, s3.bucket)
    settings = MonitorSettings(
        database_url=postgres_url,
        s3_endpoint=s3.endpoint,
        s3_bucket=s3.bucket,
        s3_credentials_file=at.credentials_file,
        registry_target="none:1",
    )
    for _ in range(2):
        done = await commands.migrate(settings, Namespace())
        assert done == {"database": "has the schema of this version", "bucket": s3.bucket}
    first, second = [await commands.renew(settings, Namespace()) for _ in range(2)]
    assert first["incarnation"] != second["incarnation"]


@pytest.mark.long
def test_a_store_that_is_away_is_said_with_an_exit_code(tmp_path):
    told = {
        "MONITOR_DATABASE_URL": "postgresql://headrace@127.0.0.1:1/monitor",
        "MONITOR_S3_ENDPOINT": "http://127.0.0.1:1",
        "MONITOR_REGISTRY_TARGET": "127.0.0.1:1",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "key",
    }
    line = (sys.executable, "-P", "-m", "headrace_monitor", "save-log", "--out", str(tmp_path / "log"))
    done = subprocess.run(line, env={**os.environ, **told}, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "cannot be reached" in done.stderr


async def test_the_log_is_copied_once_and_fills_another_bucket(s3, tmp_path):
    log, folder = {f"batches/{number}/a.pb": bytes([number]) * 1000 for number in range(5)}, tmp_path / "log"
    at = place(s3, tmp_path, s3.bucket)
    async with Objects(at) as objects:
        for key, content in log.items():
            await objects.put_if_absent(key, content)
        first = await copies.save(objects, folder)
        await objects.put_if_absent("batches/9/b.pb", b"new")
        await objects.remove(["batches/0/a.pb"])
        again = await copies.save(objects, folder)
    assert (first.copied, first.size_bytes, again.copied, again.there) == (5, 5000, 1, 4)
    async with Objects(replace(at, bucket=f"{s3.bucket}-restored")) as other:
        restored = await copies.restore(other, folder)
        repeated = await copies.restore(other, folder)
        for key, content in {**log, "batches/9/b.pb": b"new"}.items():
            assert await other.get(key) == content
    assert (restored.copied, repeated.copied, repeated.there) == (6, 0, 6)


async def test_an_object_whose_name_a_copy_could_not_keep_is_refused(s3, tmp_path):
    async with Objects(place(s3, tmp_path, s3.bucket)) as objects:
        await objects.put_if_absent("a.part", b"x")
        with pytest.raises(OSError, match="Headrace did not write it"):
            await copies.save(objects, tmp_path / "log")
