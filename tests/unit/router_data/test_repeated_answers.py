"""What is repeated, for how long and at whose cost, decided here and done by the real table in C."""

from __future__ import annotations

import ctypes
import os
import struct
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import pytest
from front_door.filter_bridge import MODULE
from headrace_router.data.answer.answer import Answer, ServedFrom
from headrace_router.data.request.request import Call, Request, ResolvedRequest
from headrace_router.data.transports.envoy.answer_leases import LEAST_LEASE
from headrace_router.data.transports.envoy.answer_template import varint
from headrace_router.data.transports.envoy.bridged_answer import packed, packed_headers
from headrace_router.data.transports.envoy.bridged_request import NAMES, BridgedRequest, HeaderLayout
from headrace_router.data.transports.envoy.filter_bridge import typed_functions
from headrace_router.data.transports.envoy.repeated_answers import RepeatedAnswers
from headrace_servicekit.identity import Identity

ANN = Identity("ann")


class _Bytes(ctypes.Structure):
    _fields_ = (("at", ctypes.c_char_p), ("length", ctypes.c_size_t))


class _Asked(ctypes.Structure):
    _fields_ = (
        *((name, _Bytes) for name in ("shape", "values", "body", "request_id")),
        ("began_ns", ctypes.c_int64),
    )


class Table:
    model, splits = "digits", False

    def assigned_alike(self, user_id: str, _entity_id: str) -> bool:
        return user_id != "nobody"


@dataclass
class Loop:
    """A clock that is the machine's, and timers that a test lets ring."""

    due: list[Any] = field(default_factory=list)

    def time(self) -> float:
        return time.monotonic()

    def call_later(self, _delay_s: float, callback: Any) -> Any:
        self.due.append(callback)
        return self

    def cancel(self) -> None:
        self.due.clear()

    def ring(self) -> None:
        due, self.due = self.due, []
        for callback in due:
            callback()


@dataclass
class Sources:
    """fresh_s: of every answer. rate: requests that are left to lease. noted: what was counted."""

    fresh_s: float = 60.0
    token_s: float = 600.0
    rate: int = 10_000
    noted: list[tuple[Call, Answer]] = field(default_factory=list)
    passed_over: int = 0

    def fresh(self, _resolved: Any, _found: Any) -> tuple[float, float]:
        now = Loop().time()
        return now - 5.0, now + self.fresh_s

    def valid_for_s(self, _authorization: Any) -> float:
        return self.token_s

    def lease(self, _client: str, _model: str, tokens: int) -> int:
        granted = min(tokens, self.rate)
        self.rate -= granted
        return granted

    def give_back(self, _client: str, _model: str, tokens: int) -> None:
        self.rate += tokens

    def note(self, _resolved: Any, call: Call, found: Answer, _ended: float) -> None:
        self.noted.append((call, found))

    def pass_over(self, requests: int) -> None:
        self.passed_over += requests


class Bridge:
    """Requests of a test, and a worker of Envoy that looks for their answers."""

    def __init__(self, most_bytes: int = 10_000_000) -> None:
        library = ctypes.PyDLL(str(MODULE), mode=os.RTLD_LAZY)
        self.functions = typed_functions(library)
        self._find, self._sent = library.repeated_answer, library.repeated_answer_sent
        self._find.restype = ctypes.c_void_p
        self.current: BridgedRequest | None = None
        self.token = "Bearer a"
        self.finish: Any = None
        self.sources, self.loop = Sources(), Loop()
        self.repeated = RepeatedAnswers(self, self.sources, self.loop, most_bytes=most_bytes)  # type: ignore[arg-type]

    def finish_with(self, finish: Any) -> None:
        self.finish = finish

    def python(self, body: bytes, *, user: str = "u", layer: str = "memory", **request: Any) -> Answer:
        """Answer a request from memory, as the predictor does."""
        request_id = uuid.uuid4().hex
        self.current = _bridged(request_id, body, self.token)
        call = Call(ANN, request_id, 0.0)
        asked = Request("digits", None, user_id=user, **request)  # type: ignore[arg-type]
        resolved = ResolvedRequest(Table(), None, asked, call, None, None, (), ())  # type: ignore[arg-type]
        found = Answer(b"out" + body, ServedFrom.CACHE, None, 5000, layer, prediction_id=str(uuid.uuid4()))
        found.request_id = request_id
        self.repeated.observe(resolved, found)
        if self.finish is not None:
            text = found.request_id.encode() + found.prediction_id.encode() + varint(found.age_ms) + found.outputs
            answer = packed(0, (packed_headers(((b"x-request-id", request_id.encode()),)), text, b""))
            finish, self.finish = self.finish, None
            answer = finish(answer)
            assert found.request_id == request_id
            assert request_id.encode() + found.prediction_id.encode() + varint(5000) + found.outputs in answer
        self.current = None
        return found

    def worker(self, body: bytes, request_id: str | None = None) -> bytes | None:
        """Return the body of an answer that a worker gives by itself, None where Python is to."""
        bridged = _bridged(request_id or uuid.uuid4().hex, body, self.token)
        parts = (*bridged.compared(), bridged.found["x-request-id"].encode())
        asked = _Asked(*(_Bytes(one, len(one)) for one in parts), int(Loop().time() * 1e9))
        address = self._find(ctypes.byref(asked))
        if not address:
            return None
        _, headers, size, _, _ = struct.unpack("=QIIII", ctypes.string_at(address, 24))
        answer = ctypes.string_at(address + 24 + headers, size)
        self._sent()
        return answer


def _bridged(request_id: str, body: bytes, token: str) -> BridgedRequest:
    headers = {"x-request-id": request_id, ":path": "/p", "authorization": token}
    request = BridgedRequest(1, lambda _authorization, _scope, _sender: ANN)
    numbers = b"".join(struct.pack("=I", NAMES.index(name) << 24 | len(value)) for name, value in headers.items())
    HeaderLayout(numbers, behind_a_front_door=False).read("".join(headers.values()).encode(), request)
    request.whole = body
    return request


@pytest.fixture
def bridge():
    if not MODULE.is_file():
        pytest.skip("the filter is not built")
    bridge = Bridge()
    yield bridge
    bridge.repeated.close()


def armed(bridge: Bridge, body: bytes = b"body", **request: Any) -> Answer:
    found = [bridge.python(body, **request) for _ in range(2)]
    return found[-1]


def test_an_answer_is_repeated_from_the_second_request_on(bridge: Bridge):
    assert bridge.worker(b"body") is None
    bridge.python(b"body")
    assert bridge.worker(b"body") is None
    bridge.python(b"body")
    request_id = uuid.uuid4().hex
    answer = bridge.worker(b"body", request_id)
    assert answer is not None
    assert answer.startswith(request_id.encode())
    assert answer.endswith(b"outbody")
    assert uuid.UUID(answer[32:68].decode()).version == 7


def test_another_body_another_token_or_an_odd_id_is_python_s(bridge: Bridge):
    armed(bridge)
    assert bridge.worker(b"bodx") is None
    assert bridge.worker(b"body2") is None
    for request_id in ("short", "x" * 41, "a b" * 11, "ä" * 16):
        assert bridge.worker(b"body", request_id) is None


@pytest.mark.parametrize(
    "what", [{"layer": "valkey"}, {"layer": ""}, {"request_id": "mine"}, {"max_age_s": 5.0}, {"explain": True},
             {"timeout_s": 1.0}, {"user": "nobody"}],
)  # fmt: skip
def test_what_is_not_alike_for_all_is_never_repeated(bridge: Bridge, what: dict[str, Any]):
    armed(bridge, **what)
    assert bridge.worker(b"body") is None


def test_nothing_is_repeated_beyond_the_answer_s_time_or_the_token_s(bridge: Bridge):
    bridge.sources.fresh_s = 0.0
    armed(bridge, b"old")
    bridge.sources.fresh_s, bridge.sources.token_s = 60.0, 0.0
    armed(bridge, b"expired")
    assert bridge.worker(b"old") is bridge.worker(b"expired") is None


def test_what_is_repeated_is_noted_with_its_ids_and_age(bridge: Bridge):
    first = armed(bridge)
    answers = [bridge.worker(b"body") for _ in range(3)]
    bridge.loop.ring()
    assert len(bridge.sources.noted) == bridge.repeated.repeated == bridge.sources.passed_over == 3
    for answer, (call, found) in zip(answers, bridge.sources.noted, strict=True):
        assert answer is not None
        assert answer[:68] == (call.request_id + found.prediction_id).encode()
        assert answer[68:73] == varint(found.age_ms)
        assert 5000 <= found.age_ms < 6000
        assert (call.caller, found.outputs, found.served_from) == (ANN, first.outputs, ServedFrom.CACHE)
        assert 0 <= found.took_s < 1


def test_one_in_256_is_python_s_and_its_answer_is_repeated_on(bridge: Bridge):
    armed(bridge)
    given = 0
    for count in range(800):
        if bridge.worker(b"body") is None:
            bridge.python(b"body")
        else:
            given += 1
        if count % 10 == 0:
            bridge.loop.ring()
    assert given == 800 - 800 // 256


def test_a_client_has_no_more_repeated_than_its_rate_leaves(bridge: Bridge):
    bridge.sources.rate = 10
    armed(bridge)
    assert [bridge.worker(b"body") is not None for _ in range(12)] == [True] * 10 + [False] * 2
    bridge.loop.ring()
    assert bridge.worker(b"body") is None
    bridge.sources.rate = 5
    bridge.loop.ring()
    bridge.python(b"body")
    assert bridge.worker(b"body") is not None


def test_what_a_client_does_not_use_is_given_back(bridge: Bridge):
    armed(bridge)
    assert bridge.sources.rate == 10_000 - LEAST_LEASE
    bridge.worker(b"body")
    bridge.loop.ring()
    bridge.loop.ring()
    assert bridge.sources.rate == 10_000 - 1
    bridge.repeated.close()
    assert bridge.sources.rate == 10_000 - 1


def test_nothing_of_before_is_repeated_after_a_change(bridge: Bridge):
    armed(bridge)
    bridge.worker(b"body")
    bridge.repeated.forget()
    assert bridge.worker(b"body") is None
    assert len(bridge.sources.noted) == 1
    bridge.python(b"body")
    assert bridge.worker(b"body") is not None


def test_a_full_table_lets_no_answer_in_that_would_push_out_one_in_use():
    bridge = Bridge(most_bytes=4_000)
    try:
        armed(bridge, b"one")
        armed(bridge, b"two")
        armed(bridge, b"three")
        assert [bridge.worker(body) is not None for body in (b"one", b"two", b"three")] == [True, True, False]
    finally:
        bridge.repeated.close()


def test_headers_that_requests_have_in_common_take_room_once():
    bridge = Bridge(most_bytes=30_000)
    try:
        for bridge.token, bodies in (("Bearer a" * 1_000, (b"one", b"two")), ("Bearer b" * 1_000, (b"one", b"two"))):
            for body in bodies:
                armed(bridge, body)
        found = [
            bridge.worker(body) is not None
            for bridge.token in ("Bearer a" * 1_000, "Bearer b" * 1_000)
            for body in (b"one", b"two")
        ]
        assert found == [True, True, False, False]
        bridge.repeated.forget()
        armed(bridge, b"three")
        assert bridge.worker(b"three") is not None
        assert bridge.worker(b"one") is None
    finally:
        bridge.repeated.close()


def test_what_has_expired_leaves_the_table(bridge: Bridge):
    bridge.sources.fresh_s = 0.02
    armed(bridge)
    armed(bridge, b"other")
    entries = next(metric for metric in bridge.repeated.collect() if metric.name.endswith("repeatable_answers"))
    assert entries.samples[0].value == 2
    while bridge.loop.due:
        bridge.loop.ring()
    *_, entries = bridge.repeated.collect()
    assert entries.samples[0].value == 0
    assert bridge.sources.rate == 10_000
