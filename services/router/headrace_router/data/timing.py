"""Where the time of one request went, for callers that ask and for spans."""

from __future__ import annotations

from collections.abc import Callable, Mapping

# Callers ask for the breakdown of their answer's time with the header `headrace-timing: 1`.
ASKING_HEADER = "headrace-timing"
# The standard header, which browsers show; over gRPC a trailer of that name.
TIMING_HEADER = "server-timing"


class Marks:
    """Moments of one request, on the clock of `now`, the counters'; 0.0 for those that it did not come to.

    received: when all of it was there, and read. routed: when table, version and contract were settled. lookup_ended:
    when it was known whether a stored answer can be given. ended: when it was answered. queue_us, compute_us: as the
    batcher said of the execution that answered it.
    """

    __slots__ = ("arrived", "compute_us", "ended", "lookup_ended", "now", "queue_us", "received", "routed")

    def __init__(self, now: Callable[[], float], arrived: float) -> None:
        self.now, self.arrived = now, arrived
        self.received = self.routed = self.lookup_ended = self.ended = 0.0
        self.queue_us = self.compute_us = 0

    def end_receive(self) -> None:
        """Note that the request was read."""
        self.received = self.now()

    def end_routing(self) -> None:
        """Note that it is known what answers, if the inputs are as they must be."""
        self.routed = self.now()

    def end_lookup(self) -> None:
        """Note the end of the first look-up; those of fallbacks come later."""
        if not self.lookup_ended:
            self.lookup_ended = self.now()

    def resume_lookup(self) -> None:
        """Note that the look-up goes on: a batcher was asked beside it, in vain."""
        self.lookup_ended = 0.0

    def answered(self, ended: float, queue_us: int, compute_us: int) -> None:
        """Note the answer."""
        self.lookup_ended = self.lookup_ended or ended
        self.ended, self.queue_us, self.compute_us = ended, queue_us, compute_us

    def parts_us(self) -> dict[str, float]:
        """Return the parts in microseconds; all but `total` add up to it.

        receive: the token, the body, its form. route: table, version, contract. cache: the look-up. queue, compute: as
        the batcher says. transit: everything else, which is the way to the batcher and back.
        """
        receive = (self.received - self.arrived) * 1e6
        route = (self.routed - self.received) * 1e6
        cache = (self.lookup_ended - self.routed) * 1e6
        total = (self.ended - self.arrived) * 1e6
        known = receive + route + cache + self.queue_us + self.compute_us
        return {
            "receive": receive,
            "route": route,
            "cache": cache,
            "queue": self.queue_us,
            "compute": self.compute_us,
            "transit": max(0.0, total - known),
            "total": total,
        }


def server_timing(marks: Marks) -> str:
    """Return the breakdown as the Server-Timing header has it, in milliseconds; the parts add up to the total."""
    return ", ".join(f"{name};dur={microseconds / 1000:.3f}" for name, microseconds in marks.parts_us().items())


def timing_of(headers: Mapping[str, str], marks: Marks | None) -> tuple[tuple[str, str], ...]:
    """Return the header, or trailer, of an answer whose caller asked for it; of others nothing."""
    if marks is None or ASKING_HEADER not in headers:
        return ()
    return ((TIMING_HEADER, server_timing(marks)),)
