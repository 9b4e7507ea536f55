"""What is measured, as a table."""

from __future__ import annotations

from dataclasses import dataclass

HEADRACE, FLOOR, TRITON, GATEWAY = "headrace", "floor", "triton", "gateway"
# A front door before the same stack that tells no monitor; the stack with its data plane in a service; front doors of
# their own, by how many routes they know.
UNREPORTED = "unreported"
SERVICE = "service"
ROUTES = {1: "routes-1", 100: "routes-100", 1000: "routes-1000"}
MIXED, CACHED, ONLINE = 0.8, 1.0, 0.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """One row. system: who is asked. call: by which API. known_share: of requests, those whose answer is kept.

    connections x streams requests are kept in flight, unless per_s says how many are sent in a second.
    """

    name: str
    title: str
    system: str = HEADRACE
    call: str = "predict"
    known_share: float = MIXED
    connections: int = 8
    streams: int = 32
    per_s: float | None = None


SCENARIOS = (
    Scenario("mixed", "80 % cached or precomputed, 20 % online"),
    Scenario("unreported", "80/20, nothing recorded or reported", UNREPORTED),
    Scenario("cached", "all cached or precomputed", known_share=CACHED),
    Scenario("online", "all online through Triton", known_share=ONLINE),
    Scenario("gateway", "gateway + Triton", GATEWAY, "triton", ONLINE),
    Scenario("floor", "conventional floor: grpc.aio echo behind Envoy", FLOOR, "echo", ONLINE),
    Scenario("triton", "Triton called directly", TRITON, "triton", ONLINE),
    Scenario("open", "open loop at 3,000 requests/s, 80/20", per_s=3000.0),
    Scenario("oip", "Open Inference Protocol gRPC, 80/20", call="oip"),
    Scenario("json", "natural JSON, 80/20", call="json"),
    Scenario("one", "one request in flight, online", known_share=ONLINE, connections=1, streams=1),
    Scenario("one-triton", "one request in flight, Triton directly", TRITON, "triton", ONLINE, 1, 1),
    Scenario("in-flight-40", "40 in flight (8 x 5), 80/20", streams=5),
    Scenario("in-flight-64", "64 in flight (8 x 8), 80/20", streams=8),
    Scenario("in-flight-2048", "2,048 in flight (8 x 256), 80/20", streams=256),
    Scenario("routes-1", "a table of one route, 80/20", ROUTES[1]),
    Scenario("routes-100", "a table of 100 routes, ten with traffic, 80/20", ROUTES[100]),
    Scenario("routes-1000", "a table of 1,000 routes, ten with traffic, 80/20", ROUTES[1000]),
    Scenario("service", "data plane as a service of its own (two hops), 80/20", SERVICE),
)
