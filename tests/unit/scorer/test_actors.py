"""What runs in a process of Ray: every failure is an answer."""

from __future__ import annotations

from typing import Any

from headrace_scorer.decisions.shards import Shard
from headrace_scorer.engine.actors import ShardActor


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
