"""Headers as the filter gives them: numbers that say which and how long, and the values in a row."""

from __future__ import annotations

import struct

import pytest
from headrace_router.data.transports.envoy.bridged_request import (
    AUTHORIZATION,
    CONNECTION,
    MAX_KNOWN,
    NAMES,
    BridgedRequest,
    HeaderLayout,
    HeaderLayouts,
)
from headrace_servicekit.errors import ServiceError, Unauthenticated
from headrace_servicekit.identity import CLIENT_HEADER, Identity


def numbers(*headers: tuple[str, bytes]) -> bytes:
    return b"".join(struct.pack("=I", NAMES.index(name) << 24 | len(value)) for name, value in headers)


def bridged(*headers: tuple[str, bytes], behind: bool = True) -> BridgedRequest:
    request = BridgedRequest(7, lambda _authorization, _scope, _sender: Identity("ann"))
    HeaderLayout(numbers(*headers), behind_a_front_door=behind).read(b"".join(value for _, value in headers), request)
    return request


def test_each_value_is_told_under_its_name():
    request = bridged(
        ("grpc-timeout", b"250m"), (":path", b"/a/B"), (AUTHORIZATION, b"Bearer \xe9"), (CONNECTION, b"10.0.0.1:5"),
        ("x-request-id", b""), ("x-headrace-user-id", b"\xe9mile"),
    )  # fmt: skip
    assert (request.path, request.authorization, request.connection) == ("/a/B", b"Bearer \xe9", "10.0.0.1:5")
    assert request.headers() == {"grpc-timeout": "250m", "x-request-id": "", "x-headrace-user-id": "émile"}


def test_a_request_without_headers_has_none():
    request = bridged()
    assert (request.path, request.authorization, request.connection, request.headers()) == (
        "",
        None,
        None,
        {},
    )


def test_only_a_front_door_before_us_says_whose_connection_it_is():
    assert bridged((CONNECTION, b"10.0.0.1:5"), behind=False).connection == 7


def test_the_last_of_two_counts_where_there_may_be_two():
    assert bridged(("grpc-timeout", b"1S"), ("grpc-timeout", b"20S")).headers() == {"grpc-timeout": "20S"}


@pytest.mark.parametrize("name", [CLIENT_HEADER, "x-headrace-user-id"])
def test_two_are_refused_where_they_would_say_whom_it_is_about(name: str):
    with pytest.raises(ServiceError, match=name):
        bridged((name, b"ann"), (name, b"bob")).headers()


def test_two_tokens_are_refused():
    with pytest.raises(Unauthenticated, match="repeated"):
        bridged((AUTHORIZATION, b"Bearer a"), (AUTHORIZATION, b"Bearer b")).identity()


def test_what_is_known_of_numbers_is_kept_within_a_bound():
    known = HeaderLayouts(behind_a_front_door=False)
    first = known.of(numbers((":path", b"")))
    assert known.of(numbers((":path", b""))) is first
    for length in range(1, MAX_KNOWN + 1):
        known.of(struct.pack("=I", length))
    assert known.of(numbers((":path", b""))) is not first
