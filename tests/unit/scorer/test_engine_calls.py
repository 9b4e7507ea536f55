"""What the service asks of the engine's processes."""

import json
import os
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from headrace_scorer import job_engine
from headrace_scorer.decisions.jobs import Job, Version
from headrace_scorer.decisions.specs import Location, Source, Spec
from headrace_scorer.job_engine import Engine
from headrace_scorer.settings import ScorerSettings


def engine(folder: Path, **more: Any) -> Engine:
    return Engine(
        ScorerSettings(
            database_url="postgresql://nobody@127.0.0.1:1/scorer",
            s3_endpoint="http://127.0.0.1:1",
            registry_target="127.0.0.1:1",
            control_target="127.0.0.1:1",
            data_target="127.0.0.1:1",
            work_dir=folder,
            **more,
        )
    )


def test_what_a_killed_scorer_left_is_removed_at_the_next_start(tmp_path: Path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    names = (
        f"hr-scorer-{ended.pid}-abc",
        f"hr-scorer-{os.getpid()}-abc",
        f"hr-scorer-{os.getppid()}-abc",
        "hr-scorer-x",
        "other",
    )
    for name in names:
        (tmp_path / name).mkdir()
    engine(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {names[2], "hr-scorer-x", "other"}


async def test_a_source_that_says_nothing_is_given_up_and_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(job_engine, "COPY_S", 0.2)
    spec = Spec(Location("tables", "out/_input"), source=Source("warehouse", query="select 1"))
    version = Version("v1", "d" * 64, "f" * 64, 10, "")
    job = Job(7, "fraud", spec, version, Location("tables", "out"), "ada", datetime(2030, 1, 1, tzinfo=UTC))
    with socket.create_server(("127.0.0.1", 0)) as mute:
        uri = f"postgresql://ada:secret@127.0.0.1:{mute.getsockname()[1]}/x"
        declared = tmp_path / "sources.json"
        declared.write_text(json.dumps({"warehouse": {"type": "postgresql", "uri": uri}}))
        shards, answer = await engine(tmp_path, sources_file=declared).planned(job)
    assert (shards, answer.transient) == ([], True)
    assert answer.checked is not None
    assert "were not copied within" in answer.checked.reason
    assert not [name for name in os.listdir(tmp_path) if name.startswith("hr-scorer-")]
