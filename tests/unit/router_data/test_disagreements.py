"""What a batcher cannot rightly say of a request is neither given nor believed: another one is asked instead."""

from __future__ import annotations

import pytest
from headrace.batcher.v1 import batcher_pb2
from headrace_router.data.answer.refusals import error_of
from headrace_router.data.batchers.work import Work
from headrace_router.data.tables.contract import contract_of
from headrace_router.data.tables.served import KnownForms
from headrace_servicekit.errors import Code, InvalidArgument, Unavailable

from tests.kit.batcher.fake_batcher import Behaviour, FakeBatcher, echoing, refusing
from tests.kit.router.digits import V1
from tests.kit.router.pools import pools_of, work


async def two_rows(batcher: FakeBatcher, request: batcher_pb2.InferRequest) -> batcher_pb2.InferResponse:
    """Answer as many rows as nobody asked for."""
    doubled = batcher_pb2.InferRequest()
    doubled.CopyFrom(request)
    doubled.rows = 2
    return await echoing(batcher, doubled)


async def nothing(_batcher: FakeBatcher, request: batcher_pb2.InferRequest) -> batcher_pb2.InferResponse:
    return batcher_pb2.InferResponse(id=request.id)


WRONG: list[Behaviour] = [
    two_rows,
    nothing,
    refusing(Code.INVALID_ARGUMENT, "INVALID_TENSOR", blamed_input=1),
    refusing(Code.INVALID_ARGUMENT, "UNKNOWN_OUTPUT"),
    refusing(Code.INVALID_ARGUMENT, ""),
    refusing(Code.NOT_FOUND, "MODEL_NOT_FOUND"),
    refusing(Code.FAILED_PRECONDITION, "NAN_NOT_ALLOWED"),
]


def checked() -> Work:
    one = work()
    one.answers = KnownForms(contract_of(V1.contract))
    return one


@pytest.mark.parametrize("wrong", WRONG)
async def test_another_batcher_is_asked_and_the_caller_notices_nothing(bad, good, wrong):
    bad.behave = wrong
    async with pools_of(bad, good, share=1.0) as pools:
        while not bad.requests:
            one = checked()
            pools.submit([one])
            assert not (await one.answer).code
        assert pools.disagreements == 1


@pytest.mark.parametrize("wrong", WRONG)
async def test_without_another_batcher_it_is_unavailable_rather_than_the_callers_fault(bad, wrong):
    bad.behave = wrong
    async with pools_of(bad) as pools:
        one = checked()
        pools.submit([one])
        error = error_of(await one.answer)
    assert isinstance(error, Unavailable)
    assert (error.reason, error.retry_after_s) == ("BATCHER_DISAGREES", 1.0)
    assert not error.violations


@pytest.mark.parametrize("reason", ["NAN_NOT_ALLOWED", "MODEL_REJECTED_INPUT", "ROWS_DIFFER", "QUARANTINED_INPUT"])
async def test_what_only_a_batcher_can_know_of_a_request_is_believed(bad, good, reason):
    bad.behave = good.behave = refusing(Code.INVALID_ARGUMENT, reason)
    async with pools_of(bad, good) as pools:
        one = checked()
        pools.submit([one])
        assert isinstance(error_of(await one.answer), InvalidArgument)
        assert len(bad.requests) + len(good.requests) == 1
        assert pools.disagreements == 0
