"""Predictions inside Envoy: which tokens are believed, and what answers each kind of request."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import NamedTuple

from headrace_servicekit.errors import Unauthenticated
from headrace_servicekit.runtime import Runtime
from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from headrace_router.data.identity.callers import Callers, IdentityFiles
from headrace_router.data.identity.tokens import Rules
from headrace_router.data.predictor import Predictor
from headrace_router.data.settings import DataSettings
from headrace_router.data.transports.call_context import CallContextFactory
from headrace_router.data.transports.envoy.bridged_request import CONNECTION, SCOPE
from headrace_router.data.transports.envoy.rest_calls import RestCalls
from headrace_router.data.transports.envoy.settings import EdgeSettings
from headrace_router.data.transports.envoy.unary_calls import UnaryCalls
from headrace_router.data.transports.prediction_methods import prediction_methods
from headrace_router.data.transports.rest.app import RestTransport
from headrace_router.data.transports.rest.disconnects import SWEEP_S, PolledDisconnects, Scope
from headrace_router.data.transports.rest.event_stream import EventStreams
from headrace_router.data.transports.rest.inference_paths import InferencePaths

_CONNECTION = CONNECTION.encode()


class OverLimit(Collector):
    """Gives Prometheus the requests that were beyond the rate of their client, refused or not."""

    def __init__(self, callers: Callers) -> None:
        self._callers = callers

    def collect(self) -> Iterator[Metric]:
        """Yield the metric family. Called by prometheus_client."""
        description = "Requests beyond the rate of their client; refused unless the limit is not enforced."
        yield CounterMetricFamily("headrace_router_requests_over_limit", description, value=self._callers.over_limit)


class EnvoyTransport(NamedTuple):
    """grpc, rest: serve requests of the filter bridge. callers: who sends them. app: the ASGI app, which has what is
    answered in parts."""

    grpc: UnaryCalls
    rest: RestCalls
    callers: Callers
    app: RestTransport


async def believed_callers(runtime: Runtime[DataSettings], edge: EdgeSettings) -> Callers:
    """Return the callers, once the issuer's keys are known, and follow these from then on."""
    callers = Callers(
        Rules(edge.issuer, edge.audience, edge.token_max_lifetime_s, edge.token_clock_skew_s),
        requests_per_second=edge.client_requests_per_second,
        wall=time.time,
        now=asyncio.get_running_loop().time,
        enforced=edge.client_limit_enforced,
    )
    runtime.metrics.register(OverLimit(callers))
    files = IdentityFiles(edge.jwks_file, edge.deny_file, callers)
    await files.read()
    runtime.every("follow identities", edge.poll_s, files.follow)
    return callers


def envoy_transport(
    runtime: Runtime[DataSettings],
    callers: Callers,
    predictor: Predictor,
    contexts: CallContextFactory,
    paths: InferencePaths,
    events: EventStreams,
    *,
    behind_a_front_door: bool,
) -> EnvoyTransport:
    """Return what answers predictions. behind_a_front_door: whether that tells each caller's connection."""
    settings = runtime.settings
    disconnects = PolledDisconnects()
    runtime.every("sweep", SWEEP_S, disconnects.sweep)
    connection = connection_behind if behind_a_front_door else connection_here
    grpc = UnaryCalls(
        prediction_methods(predictor),
        contexts,
        refused=predictor.refused,
        max_message_bytes=settings.max_message_bytes,
        max_active=settings.max_concurrent_rpcs,
    )
    app = RestTransport(
        predictor,
        contexts,
        paths,
        events,
        max_body_bytes=settings.max_message_bytes,
        max_active=settings.max_concurrent_rpcs,
        ready=lambda: runtime.health.ready,
        disconnects=disconnects,
        identify=lambda scope: callers.identify(authorization_of(scope), SCOPE, lambda: connection(scope)),
    )

    rest = RestCalls(
        predictor,
        contexts,
        paths,
        max_body_bytes=settings.max_message_bytes,
        max_active=settings.max_concurrent_rpcs,
    )
    return EnvoyTransport(grpc, rest, callers, app)


def authorization_of(scope: Scope) -> bytes | None:
    """Return the authorization header, None without one. Raises Unauthenticated for two."""
    found = None
    for name, value in scope["headers"]:
        if name == b"authorization":
            if found is not None:
                raise Unauthenticated("header authorization is repeated", reason="TOKEN_INVALID")
            found = value
    return found


def connection_here(scope: Scope) -> object:
    """Return what tells the caller's connection from others: its address and port."""
    return scope["client"]


def connection_behind(scope: Scope) -> object:
    """Return the same for a request that came through a front door, on whose connection are those of many callers."""
    return next((value for name, value in scope["headers"] if name == _CONNECTION), None)
