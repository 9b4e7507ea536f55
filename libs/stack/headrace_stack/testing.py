"""Real components for tests: started once, shared by every process that tests at the same time, gone with the last."""

import os
import random
import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from headrace_stack import daemon, snapshot
from headrace_stack.description import BLOCK
from headrace_stack.locks import exclusive, shared, try_exclusive
from headrace_stack.logfile import last_lines
from headrace_stack.ports import Ports, free_base_port
from headrace_stack.process import is_alive
from headrace_stack.replicas import ONE_OF_EACH, Replicas
from headrace_stack.settings import DataPlane, StackSettings, checkout_of_this_file, not_loadable
from headrace_stack.snapshot import Phase, Snapshot

# Below the range from which the kernel takes ports for outgoing connections.
_FIRST_PORT, _LAST_PORT = 20_000, 32_000
_POLL_S = 0.05


@contextmanager
def held_stack(
    home: Path,
    *,
    only: Sequence[str] = (),
    replicas: Replicas = ONE_OF_EACH,
    data_plane: DataPlane | None = None,
    parts: tuple[str, ...] = (),
    ends_unwell: bool = True,
    timeout_s: float = 200.0,
) -> Iterator[StackSettings]:
    """Yield the settings of a running stack in `home`; start it if it does not run.

    The start wipes the stack's data; the stack stops after its last holder, however that holder ended. `only` names the
    components (their dependencies included); all holders of one `home` must name the same, the same `replicas`, the
    same `data_plane` (None: in the front door) and the same `parts` (none: all). `ends_unwell` is off where a test
    freezes something. Raises RuntimeError with the reason when it does not start.
    """
    if data_plane is None and (missing := not_loadable()):
        raise RuntimeError(missing)
    settings = _settings(home, replicas, data_plane or DataPlane.FRONT_DOOR)
    settings = replace(settings, parts=parts, ends_unwell=ends_unwell)
    settings.run.mkdir(mode=0o700, parents=True, exist_ok=True)
    with shared(daemon.holders_lock(settings)):
        with exclusive(settings.run / "start.lock"):
            # Under the lock, because `_start` removes the state of the stack before.
            settings.create_directories()
            running = _running(settings) or _start(settings, only, time.monotonic() + timeout_s)
        yield replace(settings, ports=Ports(running.base_port))


def remove_abandoned(directory: Path, older_than_s: float = 3600) -> None:
    """Delete the homes in `directory` of stacks without a holder or a supervisor: the logs of earlier test runs."""
    for home in directory.iterdir() if directory.is_dir() else ():
        settings = _settings(home)
        if not settings.run.is_dir() or time.time() - settings.run.stat().st_mtime < older_than_s:
            continue
        held = try_exclusive(daemon.holders_lock(settings))
        running = try_exclusive(daemon.supervisor_lock(settings))
        if held is not None and running is not None:
            shutil.rmtree(home, ignore_errors=True)
        for descriptor in (held, running):
            if descriptor is not None:
                os.close(descriptor)


def _settings(
    home: Path, replicas: Replicas = ONE_OF_EACH, data_plane: DataPlane = DataPlane.FRONT_DOOR
) -> StackSettings:
    """Return settings whose ports are still to be chosen."""
    return StackSettings(
        checkout=checkout_of_this_file(),
        home=home,
        ports=Ports(_FIRST_PORT),
        durable=False,
        replicas=replicas,
        data_plane=data_plane,
    )


def _running(settings: StackSettings) -> Snapshot | None:
    seen = snapshot.read(settings.snapshot)
    usable = seen is not None and seen.phase is Phase.READY and is_alive(seen.supervisor)
    return seen if usable else None


def _start(settings: StackSettings, only: Sequence[str], deadline: float) -> Snapshot:
    """Start a supervisor on free ports. The caller holds the start lock, and no supervisor runs here."""
    for attempt in range(3):
        shutil.rmtree(settings.home / "state", ignore_errors=True)
        candidates = (random.randrange(_FIRST_PORT, _LAST_PORT, BLOCK) for _ in range(200))
        base_port = free_base_port(candidates)
        chosen = replace(settings, ports=Ports(base_port))
        pid = daemon.start_detached(chosen, only=only, while_held=True)
        while time.monotonic() < deadline:
            seen = snapshot.read(settings.snapshot)
            if seen is not None and seen.phase is Phase.READY:
                return seen
            if daemon.has_ended(pid):
                break
            time.sleep(_POLL_S)
        else:
            os.kill(pid, signal.SIGTERM)
            raise RuntimeError(f"the stack in {settings.home} was not ready in time: {_why(settings)}")
        if attempt == 2:
            raise RuntimeError(f"the stack in {settings.home} did not start: {_why(settings)}")
    raise AssertionError("unreachable")


def _why(settings: StackSettings) -> str:
    seen = snapshot.read(settings.snapshot)
    parts = list(last_lines(daemon.supervisor_log(settings), 5))
    if seen is not None:
        parts.append(seen.reason)
        for component in seen.components:
            parts.append(f"{component.name}: {component.state} {component.detail}")
            parts.extend(last_lines(settings.logs / f"{component.name}.log", 5))
    return "\n".join(part for part in parts if part)
