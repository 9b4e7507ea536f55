"""Channels to other services: keepalive, health-aware balancing, retries of idempotent methods, headers handed on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import grpc
import grpc.aio

from headrace_servicekit.calls import outgoing_metadata
from headrace_servicekit.errors import DeadlineExceeded
from headrace_servicekit.links import Links
from headrace_servicekit.tls import Tls, channel_credentials

# Kept back from the caller's deadline, so that our answer about a slow child still arrives in time.
MARGIN_S = 0.01
DEFAULT_TIMEOUT_S = 10.0


def budget(left_s: float | None, own_s: float) -> float:
    """Return the timeout in seconds of a child call: our own limit, or the caller's remaining time if less.

    left_s: `context.time_remaining()` of the call being served, None without a deadline. Raises DeadlineExceeded when
    none is left: no caller would wait for the answer.
    """
    if left_s is None:  # may also be 0.0, which is not "no deadline"
        return own_s
    left_s -= MARGIN_S
    if left_s <= 0:
        raise DeadlineExceeded("no time is left for a call to another service", reason="DEADLINE_PASSED")
    return min(own_s, left_s)


def channel(
    target: str,
    *,
    tls: Tls | None = None,
    idempotent: Iterable[str] = (),
    max_message_bytes: int = 16 * 1024 * 1024,
    default_timeout_s: float = DEFAULT_TIMEOUT_S,
    health_checked: bool = True,
    options: Sequence[tuple[str, Any]] = (),
) -> Channel:
    """Return a channel that generated stubs take. Close it, or enter it: `await runtime.enter(channel(…))`.

    target: `host:port`, `dns:///name:port` (all addresses are used in turn), `file:path#name` (see `endpoints`), or
        `unix:path`. Replicas that come are called within seconds. Raises OSError, ValueError for a file without them.
    idempotent: methods that may be repeated when the peer is UNAVAILABLE, as `package.Service/Method`, or a whole
        service as `package.Service`. Name only what is safe to do twice.
    default_timeout_s: deadline of unary calls made without `timeout=`. Streams have the one that they are given.
    health_checked: leave peers alone that answer NOT_SERVING.
    options: channel arguments that count instead of the kit's.
    """
    # Of an argument that is given twice gRPC takes the first.
    arguments = {
        **dict(client_options(max_message_bytes)),
        "grpc.service_config": json.dumps(service_config(idempotent, health_checked)),
        **dict(options),
    }
    given = list(arguments.items())

    def connect(to: str) -> grpc.aio.Channel:
        if tls is None:
            return grpc.aio.insecure_channel(to, options=given)
        return grpc.aio.secure_channel(to, channel_credentials(tls), options=given)

    return Channel(target, connect, default_timeout_s)


def client_options(max_message_bytes: int) -> list[tuple[str, Any]]:
    """Return the channel arguments of every client: a frozen peer is noticed within 3 s."""
    return [
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.keepalive_time_ms", 2000),
        ("grpc.keepalive_timeout_ms", 1000),
        # Without this one grpcio 1.85 never closes the connection to a frozen peer.
        ("grpc.http2.ping_timeout_ms", 1000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.max_reconnect_backoff_ms", 2000),
        # Else channels of one process to one address share a connection and its back-off: a new channel to a peer that
        # has just started would fail at once because an earlier one could not connect.
        ("grpc.use_local_subchannel_pool", 1),
    ]


def service_config(idempotent: Iterable[str], health_checked: bool) -> dict[str, Any]:
    """Return the gRPC service config: round robin, retries of the named methods only, a budget for retries."""
    names = []
    for method in idempotent:
        service, _, name = method.strip("/").partition("/")
        names.append({"service": service, "method": name} if name else {"service": service})
    config: dict[str, Any] = {"loadBalancingConfig": [{"round_robin": {}}]}
    if health_checked:
        config["healthCheckConfig"] = {"serviceName": ""}
    if names:
        config["retryThrottling"] = {"maxTokens": 100, "tokenRatio": 0.1}
        config["methodConfig"] = [
            {
                "name": names,
                "retryPolicy": {
                    "maxAttempts": 3,
                    "initialBackoff": "0.02s",
                    "maxBackoff": "0.2s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ]
    return config


class Channel:
    """A grpc.aio channel whose calls carry the request id and trace of the call being served; unary ones always have a
    deadline.

    The headers are added by the multicallables rather than by client interceptors, which cost tens of microseconds.
    connect: opens a channel to a target of gRPC.
    """

    def __init__(self, target: str, connect: Callable[[str], grpc.aio.Channel], default_timeout_s: float) -> None:
        self._links = Links(target, connect)
        self._default_timeout_s = default_timeout_s

    async def __aenter__(self) -> Channel:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.close()

    def unary_unary(self, *args: Any, **kwargs: Any) -> Any:
        return self._handing_on("unary_unary", args, kwargs, self._default_timeout_s)

    def unary_stream(self, *args: Any, **kwargs: Any) -> Any:
        return self._handing_on("unary_stream", args, kwargs, None)

    def stream_unary(self, *args: Any, **kwargs: Any) -> Any:
        return self._handing_on("stream_unary", args, kwargs, None)

    def stream_stream(self, *args: Any, **kwargs: Any) -> Any:
        return self._handing_on("stream_stream", args, kwargs, None)

    async def close(self, grace: float | None = None) -> None:
        """Close; calls in flight get `grace` seconds."""
        await self._links.close(grace)

    def _handing_on(self, kind: str, args: Any, kwargs: dict[str, Any], timeout_s: float | None) -> _HandingOn:
        options = {**kwargs, "response_deserializer": _reader(kwargs.get("response_deserializer"))}
        return _HandingOn(self._links, lambda inner: getattr(inner, kind)(*args, **options), timeout_s)


class Unreadable:
    """Bytes that do not parse as a message. Reading a field raises the error of a lost connection.

    grpc.aio logs what a parser raises and returns None, which would look like a defect of ours to the reader.
    """

    def __init__(self, error: Exception) -> None:
        self._raised = type(error).__name__

    def __getattr__(self, _name: str) -> Any:
        raise grpc.aio.AioRpcError(
            grpc.StatusCode.UNAVAILABLE,
            grpc.aio.Metadata(),
            grpc.aio.Metadata(),
            details=f"the server sent a message that cannot be read ({self._raised})",
        )


def _reader(parse: Callable[[bytes], Any] | None) -> Callable[[bytes], Any] | None:
    if parse is None:
        return None

    def read(message: bytes) -> Any:
        try:
            return parse(message)
        except Exception as error:  # whatever a parser raises
            return Unreadable(error)

    return read


class _HandingOn:
    __slots__ = ("_call", "_default_timeout_s", "_link", "_links", "_make")

    def __init__(self, links: Links, make: Callable[[Any], Any], default_timeout_s: float | None) -> None:
        self._links, self._make, self._default_timeout_s = links, make, default_timeout_s
        self._link = links.current()
        self._call = make(self._link.inner)

    def __call__(self, *args: Any, timeout: float | None = None, metadata: Any = None, **kwargs: Any) -> Any:
        link = self._links.current()
        if link is not self._link:
            self._link, self._call = link, self._make(link.inner)
        handed_on = outgoing_metadata()
        if metadata:
            given = tuple(metadata)
            names = {key for key, _ in given}
            handed_on = (*(pair for pair in handed_on if pair[0] not in names), *given)
        if timeout is None:
            timeout = self._default_timeout_s
        call = self._call(*args, timeout=timeout, metadata=handed_on or None, **kwargs)
        link.begun(call)
        return call
