import asyncio
import time
from typing import Any

import pytest
from headrace_router.data.request.trace import Marks
from headrace_router.data.transports.call_context import CallContextFactory, DeadlineLimits, finishing, wanted
from headrace_servicekit.calls import Call as Received
from headrace_servicekit.errors import Unauthenticated
from headrace_servicekit.identity import INTERNAL, NOBODY, Identity

RECORDED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
NOT_RECORDED = RECORDED[:-1] + "0"
CHILD = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01"


class HeldSpan:
    """A span that the test can read."""

    def __init__(self, method: str) -> None:
        self.method, self.ended = method, ""
        self.marks: Marks | None = None

    def computing(self, answer: asyncio.Future[Any], pool: str) -> str:
        return f"{pool} {answer.done()}"

    def end(self, code: str, marks: Marks | None) -> None:
        self.ended, self.marks = code, marks


class HeldSpans:
    """Begins spans that the test can read. sampling: whether calls without a trace are recorded."""

    def __init__(self, *, sampling: bool = False) -> None:
        self.sampling = sampling
        self.begun: list[tuple[Received, HeldSpan]] = []

    def samples(self) -> bool:
        return self.sampling

    def pass_over(self, requests: int) -> None:
        raise AssertionError(requests)

    def begin(self, method: str, call: Received) -> tuple[str, HeldSpan]:
        self.begun.append((call, HeldSpan(method)))
        return CHILD, self.begun[-1][1]


def contexts(
    spans: HeldSpans | None = None, unidentified: list[str] | None = None, *, log_one_in: int = 0
) -> CallContextFactory:
    unidentified = [] if unidentified is None else unidentified
    loop = asyncio.get_running_loop()
    return CallContextFactory(log_one_in, DeadlineLimits(10, 60), spans, loop, time.perf_counter, unidentified.append)


async def test_headers_say_who_calls_and_until_when():
    headers = wanted(
        [("x-headrace-client", "ann"), ("x-headrace-models", "fraud-*"), ("x-request-id", "r-1"), ("a", "b")]
    )
    now = asyncio.get_running_loop().time()
    call = contexts().call(headers, "Predict", 2.0)
    assert (call.caller.client, call.caller.sees("fraud-eu"), call.caller.sees("digits")) == ("ann", True, False)
    assert call.request_id == "r-1"
    assert now + 2 <= call.deadline < now + 3
    assert not call.sampled


async def test_space_around_what_a_header_says_is_no_part_of_it():
    headers = wanted(
        [("x-headrace-max-age-ms", " 250"), ("x-headrace-user-id", "\tann "), ("x-headrace-explain", " 1")]
    )
    concerns = contexts().call(headers, "Predict", None).context
    assert concerns is not None
    assert (concerns.user_id, concerns.max_age_s, concerns.explain) == ("ann", 0.25, True)


async def test_a_call_without_headers_is_internal_and_gets_an_id():
    call = contexts().call({}, "Predict", None)
    assert call.caller is INTERNAL
    assert len(call.request_id) == 32


async def test_a_call_that_the_front_door_forwards_without_an_identity_is_nobodys():
    seen: list[str] = []
    known, forwarded = contexts(unidentified=seen), wanted([("x-headrace-edge", "1")])
    with pytest.raises(Unauthenticated) as caught:
        known.call(forwarded, "Predict", None)
    assert (caught.value.reason, seen) == ("IDENTITY_MISSING", ["Predict"])
    # Health is everybody's, and a host that checked the token itself knows who it is.
    assert known.call(forwarded, "ServerLive", None, of_anybody=True).caller == NOBODY
    assert known.call(forwarded, "Predict", None, Identity("ann")).caller.client == "ann"
    assert seen == ["Predict"]


async def test_where_services_are_named_only_what_the_front_door_forwards_predicts():
    loop = asyncio.get_running_loop()
    strict = CallContextFactory(
        0, DeadlineLimits(10, 60), None, loop, time.perf_counter, lambda _: None, only_forwarded=True
    )
    said = {"x-headrace-client": "ann", "x-headrace-models": "*"}
    for headers in ({}, said, {"x-headrace-edge": "1"}):
        with pytest.raises(Unauthenticated):
            strict.call(headers, "Predict", None)
    assert strict.call({**said, "x-headrace-edge": "1"}, "Predict", None).caller == Identity("ann")


async def test_one_in_so_many_is_logged_besides_recorded_traces():
    four = contexts(log_one_in=4)
    assert [four.call({}, "Predict", None).sampled for _ in range(8)] == [False, False, False, True] * 2
    assert four.call({"traceparent": RECORDED}, "Predict", None).sampled
    assert not any(contexts().call({}, "Predict", None).sampled for _ in range(10))


async def test_a_recorded_trace_gets_a_span_that_ends_with_the_code():
    spans = HeldSpans()
    call = contexts(spans).call({"traceparent": RECORDED}, "Predict", None)
    assert (call.traceparent, call.sampled, call.marks is not None) == (CHILD, True, True)
    with pytest.raises(Unauthenticated), finishing(call):
        raise Unauthenticated("who?", reason="TOKEN_MISSING")
    ((received, span),) = spans.begun
    assert (received.traceparent, span.method, span.ended) == (RECORDED, "Predict", "UNAUTHENTICATED")


@pytest.mark.parametrize("headers", [{"traceparent": NOT_RECORDED}, {"traceparent": "nonsense"}, {}])
async def test_a_call_that_is_not_recorded_comes_to_no_span(headers: dict[str, str]):
    spans = HeldSpans()
    call = contexts(spans).call(headers, "Predict", None)
    assert (call.traceparent, call.sampled, call.span, call.marks, spans.begun) == ("", False, None, None, [])


async def test_a_call_without_a_trace_may_begin_one():
    spans = HeldSpans(sampling=True)
    call = contexts(spans).call({"x-request-id": "r-1"}, "Predict", None)
    ((received, _),) = spans.begun
    assert (call.traceparent, call.sampled, received.request_id, received.traceparent) == (CHILD, True, "r-1", None)
    assert contexts(spans).call({"traceparent": NOT_RECORDED}, "Predict", None).span is None


@pytest.mark.parametrize(("value", "asks"), [("1", True), ("0", False), (None, False)])
async def test_moments_are_noted_for_callers_that_ask(value: str | None, asks: bool):
    headers = {} if value is None else {"headrace-timing": value}
    assert (contexts().call(headers, "Predict", None).marks is not None) == asks


async def test_a_recorded_trace_is_handed_on_without_a_collector():
    assert contexts().call({"traceparent": RECORDED}, "Predict", None).traceparent == RECORDED


@pytest.mark.parametrize("name", ["x-headrace-client", "x-headrace-models"])
def test_a_repeated_identity_is_refused(name):
    with pytest.raises(Unauthenticated, match=name):
        wanted([(name, "ann"), (name, "eve")])
