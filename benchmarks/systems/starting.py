"""Everything that is measured, started and warm: the stack with the references, many routes, the data plane apart."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path

from headrace_client import Client

from benchmarks.load import calls
from benchmarks.load.generator import Target
from benchmarks.measures.measuring import System
from benchmarks.measures.processes import families
from benchmarks.measures.scenarios import FLOOR, GATEWAY, HEADRACE, ROUTES, SERVICE, TRITON, UNREPORTED
from benchmarks.systems import front_doors, many_routes, references, subject
from benchmarks.systems.stack import FRONT_DOOR, Stack, front_door_variables, running_stack, with_data_plane_apart

Systems = Mapping[str, System]


@contextlib.contextmanager
def stack_and_references() -> Iterator[Systems]:
    """Yield the running stack, and what it is compared with."""
    with subject.scratch() as name:
        folder, stack, model = Path(name), running_stack(), _model(name)
        prepare(stack, model)
        told("starting the references: an echo, Triton, and Envoy before each")
        with (
            references.running(folder, model.file, stack.identity / "jwks.json") as others,
            _unreported(folder, stack, model) as unreported,
        ):
            triton = {"triton": calls.model_infer(references.TRITON_MODEL, model.rows, by_entity=False)}
            yield {
                HEADRACE: headrace(stack, model),
                UNREPORTED: unreported,
                FLOOR: _reference(others.floor, {"echo": calls.echo(model.rows)}),
                TRITON: _reference(others.triton, triton),
                GATEWAY: _reference(others.gateway, triton, stack.identity),
            }


@contextlib.contextmanager
def routes() -> Iterator[Systems]:
    """Yield a front door for each count of routes."""
    with subject.scratch() as name:
        stack, model = running_stack(), _model(name)
        told(f"starting front doors with {', '.join(f'{count:,}' for count in many_routes.COUNTS)} routes")
        with many_routes.running(Path(name), stack.identity, model.rows) as doors:
            yield {ROUTES[count]: door for count, door in doors.items()}


@contextlib.contextmanager
def data_plane_apart() -> Iterator[Systems]:
    """Yield the stack with its data plane as a service of its own; afterwards it is as before."""
    with subject.scratch() as name:
        model = _model(name)
        told("starting the stack anew with its data plane as a service of its own")
        with with_data_plane_apart() as stack:
            prepare(stack, model)
            yield {SERVICE: headrace(stack, model)}
            told("starting the stack as it was")


def headrace(stack: Stack, model: subject.Model) -> System:
    """Return the stack behind its front door."""
    faces = subject.faces(model)
    target = partial(_target, ("127.0.0.1", stack.port), stack.identity)
    return System(
        target,
        faces,
        partial(families, stack.processes),
        stack.metrics_url,
        lambda: subject.warm_up(target(), faces["predict"]),
    )


@contextlib.contextmanager
def _unreported(scratch: Path, stack: Stack, model: subject.Model) -> Iterator[System]:
    """Yield a second front door before the same stack, whose data plane records nothing and tells no monitor."""
    folder = scratch / UNREPORTED
    folder.mkdir()
    own = {"ROUTER_DATA_ID": UNREPORTED, "ROUTER_DATA_MONITOR_TARGET": ""}
    ports = ("ROUTER_DATA_PORT", "ROUTER_DATA_REST_PORT", "ROUTER_DATA_METRICS_PORT", "ROUTER_DATA_STATE_DIR")
    told = {name: value for name, value in front_door_variables(stack).items() if name not in ports} | own
    with front_doors.running(folder, stack.identity, told) as door:
        faces = subject.faces(model)
        target = partial(_target, ("127.0.0.1", door.port), stack.identity)

        def warm_up() -> None:
            subject.warm_up(target(), faces["predict"])

        references.until_answering(door.pid, door.log, warm_up)
        processes = {**stack.processes, FRONT_DOOR: door.pid}
        yield System(
            target, faces, partial(families, processes), f"http://127.0.0.1:{door.metrics_port}/metrics", warm_up
        )


def prepare(stack: Stack, model: subject.Model, *, ttl: timedelta = subject.KEPT) -> None:
    """Have the model registered, routed and published. ttl: how long what is computed is kept."""
    with Client(f"127.0.0.1:{stack.port}", token=stack.token()) as client:
        subject.prepare(client, model, ttl=ttl)


def told(what: str) -> None:
    """Notify the waiter."""
    print(what, file=sys.stderr, flush=True)


def _model(folder: str) -> subject.Model:
    return subject.make_model(Path(folder))


def _reference(
    reference: references.Reference, known: Mapping[str, calls.Call], identity: Path | None = None
) -> System:
    return System(partial(_target, reference.address, identity), known, partial(families, reference.processes))


def _target(address: tuple[str, int], identity: Path | None) -> Target:
    return Target(address, () if identity is None else subject.tokens(identity))
