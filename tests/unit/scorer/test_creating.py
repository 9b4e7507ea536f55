"""What is checked before a job is queued, whoever wants it: its buckets, and how many checks there are at once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from headrace_scorer import creation
from headrace_scorer.creation import CHECKS, Creating
from headrace_scorer.decisions.jobs import Job, Version
from headrace_scorer.decisions.specs import Engine, Location, Spec
from headrace_scorer.engine.messages import Checked
from headrace_scorer.engine_processes import ProcessLost
from headrace_scorer.store import Request
from headrace_servicekit.errors import InvalidArgument, PreconditionFailed, Unavailable
from headrace_servicekit.testing import eventually

OWN = Spec(Location("own", "in"))
REQUEST = Request("ada", "", b"")


class Parts:
    """The store, the registry and the engine of jobs that are only checked."""

    def __init__(self) -> None:
        self.checking, self.most, self.free = 0, 0, asyncio.Event()

    async def now(self) -> datetime:
        return datetime(2026, 11, 29, tzinfo=UTC)

    async def resolved(self, model: str, version: str, alias: str, engine: Engine) -> Version:
        return Version("v1", "d1", "sha", 1, "")

    async def checked(self, job: Job) -> Checked:
        self.checking += 1
        self.most = max(self.most, self.checking)
        try:
            await self.free.wait()
        finally:
            self.checking -= 1
        return Checked()


def made(parts: Any, *others: str) -> Creating:
    return Creating(parts, parts, parts, "own", frozenset(others))


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        (Spec(Location("other", "in")), "spec.input.uri"),
        (Spec(Location("own", "in"), output=Location("other", "out")), "spec.output.uri"),
    ],
)
async def test_a_bucket_that_was_taken_away_is_refused_also_where_a_schedule_names_it(spec: Spec, field: str):
    parts = Parts()
    parts.free.set()
    await made(parts, "other").create("fraud", spec, REQUEST, validate_only=True)
    with pytest.raises(InvalidArgument, match="bucket 'other'") as refused:
        await made(parts).create("fraud", spec, REQUEST, validate_only=True)
    assert [one.field for one in refused.value.violations] == [field]


async def test_a_few_inputs_are_checked_at_once_and_all_in_the_end():
    parts = Parts()
    one = made(parts)
    calls = [asyncio.create_task(one.create("fraud", OWN, REQUEST, validate_only=True)) for _ in range(3 * CHECKS)]
    await eventually(lambda: parts.checking == CHECKS)
    parts.free.set()
    await asyncio.gather(*calls)
    assert parts.most == CHECKS


async def test_what_a_lost_process_wrote_is_told_to_nobody_but_the_log():
    parts: Any = Parts()

    async def checked(job: Job) -> Checked:
        raise ProcessLost("exit code 1", "Traceback: /srv/headrace/secret.py")

    parts.checked = checked
    with pytest.raises(PreconditionFailed) as refused:
        await made(parts).create("fraud", OWN, REQUEST, validate_only=True)
    assert refused.value.reason == "INPUT_UNREADABLE"
    assert "exit code 1" in refused.value.public_message
    assert "secret" not in refused.value.public_message


async def test_a_check_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(creation, "CHECK_S", 0.01)
    parts = Parts()
    with pytest.raises(Unavailable) as refused:
        await made(parts).create("fraud", OWN, REQUEST, validate_only=True)
    assert (refused.value.reason, parts.checking) == ("CHECK_TOO_SLOW", 0)
