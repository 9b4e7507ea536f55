"""Actors that are lost, and others in their place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from headrace_scorer.decisions.shards import Shard
from headrace_scorer.engine.messages import RunAnswer, ShardResult
from headrace_scorer.engine.protocol import Failed
from headrace_scorer.engine.run import Pool
from ray import exceptions

SHARDS = tuple(Shard(number, f"in/{number}", "e", 1) for number in range(3))


def lost() -> None:
    raise exceptions.RayActorError


class Cluster:
    """What the driver asks of Ray. starts: whether each start succeeds, in their order; actors live for one shard."""

    exceptions = exceptions

    def __init__(self, starts: Iterator[bool]) -> None:
        self._starts = starts

    def remote(self, **_: Any) -> Callable[[type], Any]:
        return lambda _: SimpleNamespace(remote=lambda *_: self._actor())

    def _actor(self) -> Any:
        begins, shards = next(self._starts), list[int]()

        def score(shard: Shard, batch_rows: int) -> Callable[[], RunAnswer | None]:
            shards.append(shard.number)
            if len(shards) > 1:
                return lambda: lost()
            return lambda: RunAnswer(result=ShardResult(shard.number, 1, 0, "out", "s", 1))

        return SimpleNamespace(
            begun=SimpleNamespace(remote=lambda: (lambda: None) if begins else (lambda: lost())),
            score=SimpleNamespace(remote=score),
        )

    def wait(self, awaited: list[Any], **_: Any) -> tuple[list[Any], list[Any]]:
        return awaited[:1], awaited[1:]

    def get(self, ref: Callable[[], Any]) -> Any:
        return ref()


def pool(starts: Iterator[bool]) -> Pool:
    order: Any = SimpleNamespace(shards=SHARDS, workers=1, batch_rows=64, work=None, checked=None, folder="")
    return Pool(Cluster(starts), order)


def test_starts_that_fail_now_and_then_do_not_end_a_job_however_long_it_is(capsysbinary: pytest.CaptureFixture[bytes]):
    pool(at % 3 == 2 for at in range(100)).run()
    assert capsysbinary.readouterr().out.count(b'"sha256":"s"') == len(SHARDS)


def test_where_no_process_starts_the_job_waits_and_is_not_failed():
    with pytest.raises(Failed, match="do not start") as failed:
        pool(False for _ in range(100)).run()
    assert (failed.value.failure, failed.value.transient) == ("RAY_UNAVAILABLE", True)
