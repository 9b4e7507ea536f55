"""Waiting until what the registry says is what answers: loaded, ready, activated, acknowledged."""

from __future__ import annotations

import enum
from collections.abc import Callable

from headrace.router.v1 import route_pb2

from headrace_client.calls import Operation, Pause, Session, invoke
from headrace_client.errors import DeadlineExceeded, PreconditionFailed, Unavailable
from headrace_client.operations.routes import DEFAULT_TIMEOUT_S, get_route

SERVING_TIMEOUT_S = 150.0
# How long data planes that are connected are waited for once the version answers; the others are only named.
ACKNOWLEDGE_TIMEOUT_S = 5.0
# Long enough to be cheap, short enough for live progress on a terminal.
_SLICE_S = 3.0
_WATCHED_SLICE_S = 0.5
# The router waits for acknowledgements itself; this only bounds how often one is asked that does not.
_PAUSE_S = 0.05


class Progress(enum.IntEnum):
    """How far a promotion is on its way to traffic."""

    ANNOUNCED = 1
    """The registry has it; the router has not heard of it yet."""
    LOADING = 2
    """Not every version that is wanted is ready on the batchers."""
    READY = 3
    """Everything is loaded; the generation is about to take effect."""
    ACTIVATED = 4
    """It is in force; some data planes may still answer as before."""
    ACKNOWLEDGED = 5
    """No data plane answers as before."""


def progress_of(status: route_pb2.RouteStatus, epoch: int) -> Progress:
    """Return how far a route is with what the registry said at an epoch."""
    if status.registry_epoch >= epoch:
        return Progress.ACTIVATED if status.unacknowledged_data_planes else Progress.ACKNOWLEDGED
    if status.wanted_registry_epoch < epoch:
        return Progress.ANNOUNCED
    loaded = all(0 < one.batchers == one.ready_batchers for one in status.versions)
    return Progress.READY if loaded else Progress.LOADING


def await_epoch(
    session: Session,
    model: str,
    epoch: int,
    *,
    timeout: float = SERVING_TIMEOUT_S,
    progress: Callable[[route_pb2.RouteStatus], None] | None = None,
) -> Operation[route_pb2.RouteStatus]:
    """Wait until what serves was resolved from that epoch of the registry or a later one; return what is in force.

    It also waits some seconds for the data planes that are connected; the answer names those that have not
    acknowledged. progress: called with the present state twice a second while it waits (`progress_of` reads it).
    Raises PreconditionFailed, reason VERSION_NOT_READY, when the version does not become ready: it stays wanted and
    serves when it does.
    """
    request = route_pb2.AwaitRegistryEpochRequest(name=f"routes/{model}", registry_epoch=epoch)
    deadline = session.monotonic() + timeout
    slice_s = _SLICE_S if progress is None else _WATCHED_SLICE_S
    give_up_at: float | None = None
    while True:
        remaining_s = deadline - session.monotonic()
        try:
            answer = yield from invoke(
                session, route_pb2.AwaitRegistryEpochResponse, request, timeout_s=max(0.01, min(remaining_s, slice_s))
            )
            status = answer.status
        except (DeadlineExceeded, PreconditionFailed) as error:
            # The router answers VERSION_NOT_READY shortly before a deadline, also before that of a slice.
            waits = isinstance(error, DeadlineExceeded) or error.reason == "VERSION_NOT_READY"
            if not waits or deadline - session.monotonic() <= slice_s / 10:
                raise
            if progress is not None:
                progress((yield from get_route(session, model)).status)
            continue
        except Unavailable:
            # A control plane that restarts is away for longer than a slice: a read is tried again for as long as reads
            # are, and fails when it stays away.
            remaining_s = deadline - session.monotonic()
            present = yield from get_route(session, model, timeout=max(0.01, min(remaining_s, DEFAULT_TIMEOUT_S)))
            if progress is not None:
                progress(present.status)
            continue
        if progress is not None:
            progress(status)
        now = session.monotonic()
        give_up_at = give_up_at or min(now + ACKNOWLEDGE_TIMEOUT_S, deadline)
        late = any(plane.connected and not plane.acknowledged for plane in status.data_planes)
        if not late or now >= give_up_at - slice_s / 10:
            return status
        yield Pause(_PAUSE_S)
