"""How one operation spends its deadline, its tries and its token, without a network."""

import itertools
from collections.abc import Iterator
from typing import Any

import grpc
import grpc.aio
import pytest
from headrace.registry.v1 import registry_pb2
from headrace_client.calls import Call, FetchToken, Operation, Pause, Session, invoke
from headrace_client.errors import (
    DeadlineExceeded,
    HeadraceError,
    InvalidArgument,
    Unauthenticated,
    Unavailable,
    from_rpc_error,
)
from headrace_client.retries import RetryPolicy
from headrace_client.tokens import TokenCache

REQUEST = registry_pb2.GetModelRequest(name="models/digits")
ANSWER = registry_pb2.GetModelResponse()


class Script:
    """Performs steps on a clock of its own: answers calls with the next of `answers`, each of which takes `call_s`."""

    def __init__(self, *answers: Any, tokens: Iterator[str] | None = None, call_s: float = 0.0) -> None:
        self.now_s = 1000.0
        self.calls: list[Call] = []
        self.pauses: list[float] = []
        self._answers, self._call_s = iter(answers), call_s
        made_ids = map("made-{}".format, itertools.count(1))
        provider = None if tokens is None else lambda: next(tokens)
        self.session = Session(
            TokenCache(provider),
            RetryPolicy(),
            monotonic=self.time,
            now_s=self.time,
            random=lambda: 0.999,
            new_id=lambda: next(made_ids),
        )

    def time(self) -> float:
        return self.now_s

    def run(self, operation: Operation[Any]) -> Any:
        result: Any = None
        try:
            while True:
                step = operation.throw(result) if isinstance(result, Exception) else operation.send(result)
                if isinstance(step, Call):
                    self.calls.append(step)
                    self.now_s += self._call_s
                    result = next(self._answers)
                elif isinstance(step, Pause):
                    self.pauses.append(step.seconds)
                    self.now_s += step.seconds
                    result = None
                else:
                    assert isinstance(step, FetchToken)
                    result = step.provider()
        except StopIteration as finished:
            return finished.value

    def get(self, timeout_s: float = 10.0, *, idempotent: bool = True) -> Any:
        return self.run(
            invoke(self.session, registry_pb2.GetModelResponse, REQUEST, timeout_s=timeout_s, idempotent=idempotent)
        )


def test_unavailable_is_tried_again_with_growing_waits_and_a_shrinking_deadline() -> None:
    script = Script(Unavailable("down"), Unavailable("down"), ANSWER, call_s=1.0)
    assert script.get() is ANSWER
    assert script.pauses == pytest.approx([0.1, 0.2], rel=1e-2)
    assert [call.timeout_s for call in script.calls] == pytest.approx([10, 8.9, 7.7], rel=1e-2)


def test_a_call_that_may_not_be_repeated_is_made_once() -> None:
    script = Script(Unavailable("down"))
    with pytest.raises(Unavailable):
        script.get(idempotent=False)
    assert len(script.calls) == 1


def test_the_last_error_is_raised_when_the_deadline_leaves_no_time_for_another_try() -> None:
    script = Script(*[Unavailable(f"try {n}") for n in range(9)], call_s=0.4)
    with pytest.raises(Unavailable, match="try 1"):
        script.get(timeout_s=1.0)
    assert len(script.calls) == 2


def test_a_deadline_that_has_passed_sends_nothing() -> None:
    script = Script(ANSWER)
    with pytest.raises(DeadlineExceeded):
        script.get(timeout_s=0.0)
    assert script.calls == []


def test_a_wrong_request_is_not_tried_again() -> None:
    script = Script(InvalidArgument("no"))
    with pytest.raises(InvalidArgument):
        script.get()
    assert script.pauses == []


def test_one_token_serves_many_calls() -> None:
    script = Script(ANSWER, ANSWER, tokens=iter(["first"]))
    script.get()
    script.get()
    assert [call.metadata[0] for call in script.calls] == [("authorization", "Bearer first")] * 2


def test_a_call_that_outlives_its_tokens_gets_new_ones_until_one_is_refused_at_once() -> None:
    expired = Unauthenticated("expired", reason="TOKEN_EXPIRED")
    tokens = iter([f"token {number}" for number in range(9)])
    watching = Script(expired, expired, expired, ANSWER, tokens=tokens, call_s=600.0)
    watching.run(invoke(watching.session, registry_pb2.GetModelResponse, REQUEST, timeout_s=3600.0))
    assert len({dict(call.metadata)["authorization"] for call in watching.calls}) == 4
    refused = Script(expired, expired, tokens=iter(["old", "new", "never"]))
    with pytest.raises(Unauthenticated):
        refused.run(invoke(refused.session, registry_pb2.GetModelResponse, REQUEST, timeout_s=3600.0))


def test_a_refused_token_is_replaced_once_and_then_the_refusal_stands() -> None:
    script = Script(Unauthenticated("expired"), ANSWER, tokens=iter(["old", "new"]))
    assert script.get() is ANSWER
    assert [call.metadata[0][1] for call in script.calls] == ["Bearer old", "Bearer new"]

    script = Script(Unauthenticated("foreign"), Unauthenticated("foreign"), tokens=iter(["old", "new", "never"]))
    with pytest.raises(Unauthenticated):
        script.get()
    assert len(script.calls) == 2


def test_all_tries_of_a_call_have_one_request_id_and_every_call_its_own() -> None:
    script = Script(Unavailable("down"), ANSWER, ANSWER)
    script.get()
    script.get()
    assert [dict(call.metadata)["x-request-id"] for call in script.calls] == ["made-1", "made-1", "made-2"]


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        pytest.param("order-17:3", "order-17:3", id="as it is"),
        pytest.param("zwölf", "made-1", id="not of a header"),
        pytest.param("x" * 129, "made-1", id="too long"),
        pytest.param("a\r\nb", "made-1", id="two lines"),
    ],
)
def test_a_request_id_travels_as_a_header_where_it_can(given: str, sent: str) -> None:
    script = Script(ANSWER)
    script.run(invoke(script.session, registry_pb2.GetModelResponse, REQUEST, timeout_s=1.0, request_id=given))
    assert dict(script.calls[0].metadata)["x-request-id"] == sent


def test_tries_again_are_a_share_of_all_calls_and_a_few_for_who_calls_seldom() -> None:
    script = Script(*[Unavailable("down")] * 1000)
    for _ in range(50):
        with pytest.raises(Unavailable):
            script.get()
    before = len(script.calls)
    assert 50 < before < 50 + 10 + 50 * 0.2 + 2 * (script.now_s - 1000) + 1
    script.now_s += 60
    with pytest.raises(Unavailable):
        script.get()
    assert len(script.calls) - before == RetryPolicy().max_attempts


def test_a_hedge_is_asked_for_only_where_it_is_wanted_and_paid_from_the_same_budget() -> None:
    script = Script(ANSWER, ANSWER)
    script.get()
    script.run(invoke(script.session, registry_pb2.GetModelResponse, REQUEST, timeout_s=1.0, hedge_after_s=0.05))
    plain, hedged = (call.hedge for call in script.calls)
    assert plain is None
    assert hedged is not None
    assert hedged.after_s == 0.05
    assert sum(hedged.allowed() for _ in range(100)) == 10


def test_every_exception_class_stands_for_one_code() -> None:
    codes = [kind.code for kind in HeadraceError.__subclasses__()]
    assert len(codes) == len(set(codes)) == 15


def test_a_connection_that_ends_while_a_request_is_written_is_no_defect_of_the_server() -> None:
    nothing = grpc.aio.Metadata()
    error = from_rpc_error(
        grpc.aio.AioRpcError(grpc.StatusCode.INTERNAL, nothing, nothing, details="Internal error from Core")
    )
    assert (type(error), error.reason, error.may_retry) == (Unavailable, "STREAM_BROKEN", True)
