"""What runs in a process of Ray: every failure is an answer."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from headrace_scorer.decisions.shards import Shard
from headrace_scorer.engine.actors import ShardActor
from headrace_scorer.engine.folders import actors_folder


class BrokenScorer:
    """Scores nothing, by a defect."""

    def score(self, shard: Shard, batch_rows: int) -> None:
        raise KeyError("gone")


def test_a_defect_fails_the_shard_and_names_it():
    actor: Any = object.__new__(ShardActor)
    actor._scorer = BrokenScorer()
    answer = actor.score(Shard(3, "in/a.parquet", "e", 9), 64)
    assert (answer.failure, answer.transient) == ("SCORING_FAILED", False)
    assert "shard 3 of in/a.parquet" in answer.reason
    assert "KeyError" in answer.reason


def test_an_actor_of_another_machine_removes_what_actors_before_it_left_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for name in (f"hr-scorer-{ended.pid}-model", f"hr-scorer-{os.getppid()}-model", "other"):
        (tmp_path / name).mkdir()
    own = actors_folder(str(tmp_path / "of-the-scorer"))
    assert own.parent == tmp_path
    assert {path.name for path in tmp_path.iterdir()} == {own.name, f"hr-scorer-{os.getppid()}-model", "other"}
    assert actors_folder(str(own)).parent == own
