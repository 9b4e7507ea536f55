"""Numbers that a request may not have are refused by the field's name; and every number says what it may be."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from headrace.batcher.v1 import batcher_pb2
from headrace.router.v1 import route_pb2
from headrace_servicekit.errors import InvalidArgument
from headrace_servicekit.ranges import MOST_VIOLATIONS, check, fields_of, rule_of

from tests.kit.clients.methods import METHODS
from tests.kit.rows import each
from tests.kit.servicekit.toy import Note, handlers
from tests.kit.servicekit.toy_server import toy


def refused(note: Any) -> dict[str, str]:
    with pytest.raises(InvalidArgument) as caught:
        check(note)
    assert caught.value.reason == "VALUE_OUT_OF_RANGE"
    return {one.field: one.description for one in caught.value.violations}


@each(
    "note,field,says",
    [
        (Note(count=-1), "count", "-1 is less than 1"),
        (Note(count=11), "count", "11 is more than 10, the most"),
        (Note(level=0.0), "level", "0 is less than 1, the least"),  # it has presence: zero is a value
        (Note(level=1e-12), "level", "1e-12 is less than 1"),
        (Note(level=math.nan), "level", "nan is no finite number"),
        (Note(sizes=[1, 2, 2**63 - 1]), "sizes[2]", "9223372036854775807 is more than 10"),
        (Note(sizes=[0]), "sizes[0]", "0 is less than 1"),
        (Note(shares={"a": 5, "b": math.inf}), "shares['b']", "inf is no finite number"),
        (Note(pause={"seconds": 11}), "pause", "11 s is more than 10 s"),
        (Note(pause={"nanos": 5}), "pause", "5e-09 s is less than 1 s"),
        (Note(ratio=-math.inf), "ratio", "-inf is no finite number"),
        (Note(wait={"seconds": -1}), "wait", "-1 s is less than 0 s"),
        (Note(wait={"seconds": 2**63 - 1}), "wait", "are no duration"),
        (Note(wait={"seconds": 1, "nanos": -1}), "wait", "both of one sign"),
        (Note(wait={"seconds": 315_576_000_000}), "wait", "is more than 3155760000 s"),
        (Note(since=[{"seconds": 0}, {"seconds": 253_402_300_800}]), "since[1]", "no time of the years 1 to 9999"),
        (Note(since=[{"nanos": -1}]), "since[0]", "are no time"),
        (Note(inner={"inner": {"notes": [{}, {"count": -3}]}}), "inner.inner.notes[1].count", "-3 is less than 1"),
    ],
)
def test_a_number_out_of_its_range_is_refused_with_field_value_and_bound(note: Any, field: str, says: str) -> None:
    assert says in refused(note)[field]


@pytest.mark.parametrize(
    "note",
    [
        Note(),
        Note(count=0, sizes=[1, 10], shares={"a": 1.0}, level=1.0, ratio=-5, anything=-(2**63)),
        Note(count=10, pause={"seconds": 10}, wait={}, since=[{"seconds": -62_135_596_800}]),
        Note(inner={}, notes=[{}]),
    ],
)
def test_what_is_in_range_or_left_out_passes(note: Any) -> None:
    check(note)


def test_all_that_is_wrong_is_told_at_once_up_to_a_bound() -> None:
    assert set(refused(Note(count=-1, ratio=math.nan, inner=Note(count=-2)))) == {"count", "ratio", "inner.count"}
    assert len(refused(Note(sizes=[0] * 1000))) == MOST_VIOLATIONS


async def test_a_server_refuses_before_its_servicer_is_called_in_calls_and_in_streams() -> None:
    ran: list[str] = []

    async def answer(request: Any, _context: Any) -> Any:
        ran.append(request.text)
        return request

    async def converse(requests: Any, _context: Any) -> Any:
        async for one in requests:
            ran.append(one.text)
            yield one

    async with toy(handlers(Answer=answer, Converse=converse)) as service:
        for method in ("Answer", "Converse"):
            error = await service.failure(method, Note(text="bad", count=-1))
            assert error.code().name == "INVALID_ARGUMENT"
            assert "count: -1 is less than 1" in (error.details() or "")
        assert ran == []
        await service.stub.call("Answer", Note(text="good", count=1))
    assert ran == ["good"]


def test_nothing_is_looked_at_in_what_has_no_such_number() -> None:
    # The link between data planes and batchers: a frame is bytes, lengths and ids, and costs nothing here.
    assert fields_of(batcher_pb2.ExchangeRequest.DESCRIPTOR) == {}
    check(object())


def test_the_weight_that_no_route_can_have_is_refused() -> None:
    assert "route.variants[0].weight" in refused(route_pb2.UpdateRouteRequest(route={"variants": [{"weight": -1}]}))


# Written by services alone; and the shape of a tensor, whose bytes say how large it is.
_WITHOUT = {
    "registry.v1.Model.epoch", "registry.v1.Artifact.size_bytes", "registry.v1.ModelVersion.serving_revision",
    "webhook.v1.Webhook.waiting", "monitor.v1.Webhook.waiting", "autoscaler.v1.ScalingPolicy.revision",
    "scorer.v1.ScoringSchedule.jobs_created", "scorer.v1.ScoringSchedule.times_skipped",
    "scorer.v1.ScoringSchedule.Decision.skipped", "tensor.v1.Tensor.shape",
}  # fmt: skip


def test_every_number_that_a_caller_may_send_has_a_rule() -> None:
    known: set[str] = set()

    def fields(message: Descriptor) -> Iterator[FieldDescriptor]:
        if message.full_name not in known and message.full_name.startswith("headrace."):
            known.add(message.full_name)
            for field in message.fields:
                yield field
                if field.message_type is not None:
                    yield from fields(field.message_type)

    whole = (FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT32)
    unbounded = {
        field.full_name.removeprefix("headrace.")
        for method in METHODS.values()
        for field in fields(method.input_type)
        if field.cpp_type in (*whole, FieldDescriptor.CPPTYPE_UINT64) and rule_of(field) is None
    }
    # Those of parts that are not in this checkout are named by nobody.
    messages = {name.removeprefix("headrace.") for name in known}
    assert unbounded == {one for one in _WITHOUT if one.rpartition(".")[0] in messages}
