"""Who used the backend: each execution's time divided by rows, reported once whatever becomes of it."""

import asyncio

import grpc
import grpc.aio
import pytest
from headrace.router.v1 import usage_pb2
from headrace_batcher.batching.execution_gate import ExecutionGate
from headrace_batcher.batching.usage import MAX_CLIENTS, OTHERS, Usage, VersionUsage
from headrace_batcher.optional import UsageReports
from headrace_runtime.backends.backend import ModelError

from tests.kit.batcher.scripted_backend import serving, settled, submit


async def test_an_execution_is_divided_among_its_clients_by_rows(backend, work):
    usage = VersionUsage()
    async with serving(backend, usage=usage) as batcher:
        backend.gate.clear()
        works = submit(batcher, work, [1.0], client="ada") + submit(batcher, work, [2.0, 3.0, 4.0], client="bob")
        await asyncio.sleep(0)
        backend.gate.set()
        await settled(work, *works)

    used = usage.take()
    assert {client: (use[0], use[1]) for (client, _), use in used.items()} == {"ada": (1, 1), "bob": (1, 3)}
    assert usage.take() == {}


async def test_all_clients_together_used_what_executions_took(backend, work):
    usage = VersionUsage()
    async with serving(backend, usage=usage) as batcher:
        works = [one for n in range(40) for one in submit(batcher, work, [1.0] * (n % 4 + 1), client=f"c{n % 7}")]
        await settled(work, *works)
        computed_s = batcher.counters.compute_s.total

    used_s = sum(use[2] for use in usage.take().values())
    assert used_s == pytest.approx(computed_s)
    assert computed_s > 0


async def test_a_request_in_pieces_and_one_that_is_executed_again_are_one_request(backend, work):
    usage = VersionUsage()
    async with serving(backend, usage=usage) as batcher:
        whole = submit(batcher, work, [1.0] * 10, client="ada")
        await settled(work, *whole)
        backend.fail_once(ModelError("no"))
        failing = submit(batcher, work, [1.0], client="bob")
        await settled(work, *failing)

    used = usage.take()
    assert {client: tuple(use[:2]) for (client, _), use in used.items()} == {"ada": (1, 10), "bob": (1, 2)}


def test_clients_without_end_are_told_together(work):
    usage = VersionUsage()
    for n in range(MAX_CLIENTS + 5):
        usage.executed([work([1.0], client=f"c{n}")], 1, 1.0)

    used = usage.take()
    assert len(used) == MAX_CLIENTS + 1
    assert used[OTHERS, 0] == [5, 5, 5.0]


@pytest.mark.parametrize("name", ["a" * 257, "a\n", "\0"])
def test_a_name_that_the_control_plane_takes_from_nobody_costs_no_other_client_its_count(work, name):
    usage = Usage()
    usage.of("m", "v1").executed([work([1.0], client=name), work([1.0], client="ada")], 2, 1.0)

    assert {use.client: use.compute_s for use in usage.take()} == {OTHERS: 0.5, "ada": 0.5}


def test_the_backend_is_busy_while_anything_executes_and_twice_at_once_is_once():
    now = 0.0
    gate = ExecutionGate(lambda: now)
    gate.begin()
    now = 1.0
    gate.begin()
    now = 3.0
    gate.end()
    assert gate.busy_s == 3.0
    gate.end()
    now = 10.0
    assert gate.busy_s == 3.0


class ControlPlane:
    """Takes reports, or answers as it is told to."""

    def __init__(self) -> None:
        self.taken: list[usage_pb2.ReportUsageRequest] = []
        self.answer: grpc.StatusCode | None = None

    async def ReportUsage(self, request, timeout):
        self.taken.append(request)
        if self.answer is not None:
            raise grpc.aio.AioRpcError(self.answer, grpc.aio.Metadata(), grpc.aio.Metadata(), "no")
        return usage_pb2.ReportUsageResponse()


def reports_of(control: ControlPlane, usage: Usage) -> UsageReports:
    ticks = iter(range(100))
    return UsageReports(control, "gpu", "p1", usage, lambda: 0.25, lambda: float(next(ticks)))


async def test_a_report_that_is_not_answered_is_sent_again_as_it_was_and_what_came_since_in_the_next(work):
    control, usage = ControlPlane(), Usage()
    reports = reports_of(control, usage)
    usage.of("m", "v1").executed([work([1.0], client="ada", priority=2)], 1, 0.5)
    control.answer = grpc.StatusCode.UNAVAILABLE
    assert not await reports.report()
    usage.of("m", "v1").executed([work([1.0], client="bob")], 1, 0.25)
    control.answer = None
    assert await reports.report()
    assert await reports.report()

    first, again, second = control.taken
    assert first == again
    assert (first.sequence, second.sequence) == (1, 2)
    assert (first.pool, first.process, first.present_us) == ("gpu", "p1", 1_000_000)
    (use,) = first.uses
    assert (use.model, use.version, use.client, use.priority, use.compute_us) == ("m", "v1", "ada", 3, 500_000)
    assert [one.client for one in second.uses] == ["bob"]


async def test_what_a_control_plane_will_never_take_keeps_nothing_else_from_it(work):
    control, usage = ControlPlane(), Usage()
    reports = reports_of(control, usage)
    control.answer = grpc.StatusCode.INVALID_ARGUMENT
    assert await reports.report()
    control.answer = None
    assert await reports.report()
    assert [one.sequence for one in control.taken] == [1, 2]
