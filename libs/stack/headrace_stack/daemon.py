"""The supervisor as a process of its own: `python -m headrace_stack run`."""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from headrace_stack import endpoints, replicas, snapshot, topology
from headrace_stack.control import ControlSocket
from headrace_stack.locks import try_exclusive
from headrace_stack.process import adopt_orphans, kill_descendants
from headrace_stack.scaler import Scaler
from headrace_stack.settings import (
    BASE_PORT_SETTING,
    DATA_PLANE_SETTING,
    PARTS_SETTING,
    STATE_DIRECTORY_SETTING,
    StackSettings,
)
from headrace_stack.snapshot import Phase
from headrace_stack.supervisor import Supervisor

_HELD_POLL_S = 0.5


def supervisor_lock(settings: StackSettings) -> Path:
    """Held by the supervisor for as long as it lives."""
    return settings.run / "supervisor.lock"


def holders_lock(settings: StackSettings) -> Path:
    """Shared by everybody who uses a stack that ends with its last user."""
    return settings.run / "holders.lock"


def supervisor_log(settings: StackSettings) -> Path:
    return settings.logs / "stack.log"


async def run(settings: StackSettings, only: Sequence[str], *, while_held: bool) -> int:
    """Run the stack until a signal (or, with `while_held`, until its last holder leaves). Return an exit code.

    only: components to run, with their dependencies; all when none is named.
    """
    settings.create_directories()
    alone = try_exclusive(supervisor_lock(settings))
    if alone is None:
        return 3
    adopt_orphans()
    snapshot_file = snapshot.SnapshotFile(settings.snapshot)
    endpoints.publish(settings)
    supervisor = Supervisor(
        topology.chosen(settings, only),
        log_directory=settings.logs,
        base_port=settings.ports.base,
        report=snapshot_file,
        replicas=settings.replicas,
        data_plane=settings.data_plane,
        parts=tuple(dict.fromkeys(service.part for service in settings.services.values())),
        ends_unwell=settings.ends_unwell,
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, supervisor.stop)
    background = [asyncio.create_task(snapshot_file.again())]
    if while_held:
        background.append(asyncio.create_task(_stop_when_unused(settings, supervisor)))
    control = ControlSocket(supervisor, Scaler(settings, supervisor, only))
    try:
        async with control.listening(settings.control_socket):
            last = await supervisor.run()
    finally:
        for task in background:
            task.cancel()
        kill_descendants()
        if not settings.durable:
            shutil.rmtree(settings.home / "state", ignore_errors=True)
    return 1 if last.phase is Phase.FAILED else 0


async def _stop_when_unused(settings: StackSettings, supervisor: Supervisor) -> None:
    while try_exclusive(holders_lock(settings)) is None:  # noqa: ASYNC110 (another process's lock notifies none)
        await asyncio.sleep(_HELD_POLL_S)
    # The lock stays ours until this process is gone, so that a new user waits and then starts a new stack.
    supervisor.stop()


def start_detached(settings: StackSettings, *, only: Sequence[str] = (), while_held: bool = False) -> int:
    """Start the supervisor in a session of its own, return its process id at once. It outlives the caller."""
    settings.create_directories()
    settings.snapshot.unlink(missing_ok=True)
    command = [sys.executable, "-P", "-m", "headrace_stack", "run"]
    command += ["--only", ",".join(only)] if only else []
    command += ["--while-held"] if while_held else []
    command += [] if settings.durable else ["--volatile"]
    command += [] if settings.ends_unwell else ["--keep-unwell"]
    environment = {
        **os.environ,
        BASE_PORT_SETTING: str(settings.ports.base),
        STATE_DIRECTORY_SETTING: str(settings.home),
        DATA_PLANE_SETTING: settings.data_plane.value,
        PARTS_SETTING: ",".join(settings.parts),
        **replicas.to_environment(settings.replicas),
    }
    log = str(supervisor_log(settings))
    files = (
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    )
    # Not subprocess.Popen: it complains when its process outlives it, which is the purpose here.
    return os.posix_spawn(command[0], command, environment, file_actions=files, setsid=True)


def has_ended(pid: int) -> bool:
    """Whether the supervisor that this process started with `start_detached` is gone."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True
