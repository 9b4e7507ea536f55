"""One child process: started so that it cannot outlive us, waited for without a thread, stopped with its group."""

import asyncio
import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from headrace_stack.snapshot import ProcessId
from headrace_stack.start_progress import Usage

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
# Loaded here, because nothing may be imported or allocated between fork and exec.
_prctl = ctypes.CDLL(None, use_errno=True).prctl
# Processes that we started: the task that awaits one reaps it.
_started: set[int] = set()


def adopt_orphans() -> None:
    """Make this process the parent of every descendant whose own parent dies, so that none can slip away.

    What ends of these is reaped in the event loop: it would stay in the table of processes for as long as we live.
    """
    _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, _reap_orphans)


def _reap_orphans() -> None:
    """Reap ended orphans up to the first child of our own; the task that reaps that child calls this again."""
    with contextlib.suppress(ChildProcessError):  # there is none
        while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
            if ended.si_pid in _started:
                return
            os.waitpid(ended.si_pid, os.WNOHANG)


def die_with_parent(death_signal: int, parent: int) -> None:
    """Between fork and exec: have the kernel send `death_signal` when the parent's thread that forked us ends."""
    _prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
    if os.getppid() != parent:  # it died before we asked
        os._exit(1)


class Child:
    """A running process, leader of its own group. Belongs to the event loop that started it."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self._popen = popen
        _started.add(popen.pid)
        self._exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.id = ProcessId(popen.pid, psutil.Process(popen.pid).create_time())
        self._pidfd = os.pidfd_open(popen.pid)
        asyncio.get_running_loop().add_reader(self._pidfd, self._reap)

    @classmethod
    def start(
        cls,
        command: tuple[str, ...],
        *,
        environment: Mapping[str, str],
        cwd: Path | None,
        log: Path,
        death_signal: signal.Signals,
    ) -> "Child":
        """Start the command with its output appended to `log`. Raises OSError when it cannot be executed."""
        program = command[0]
        # Asked before the fork: a child that fails between fork and exec has little to say, and nothing once killed.
        if shutil.which(program, path=environment.get("PATH")) is None:
            raise FileNotFoundError(f"{program} is not a program that can be executed")
        parent = os.getpid()
        with open(log, "ab", opener=_private) as output:
            popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                cwd=cwd,
                # Not a session: Linux weighs priorities of threads within one, and batchers load at a lower one.
                process_group=0,
                # Safe here: the supervisor runs one thread, and the function only makes two system calls.
                preexec_fn=lambda: die_with_parent(death_signal, parent),
            )
        return cls(popen)

    def _reap(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        # What it left behind in its group goes with it: a restart must find its ports and files free. The number of
        # the group cannot be another's yet, because the leader is not reaped before the next line.
        _signal_group(self._popen.pid, signal.SIGKILL)
        code = self._popen.wait()
        _started.discard(self._popen.pid)
        signal.raise_signal(signal.SIGCHLD)  # orphans queued behind it are reaped now
        if not self._exited.done():
            self._exited.set_result(code)

    async def wait(self) -> int:
        """Return the exit code; negative is the signal that ended it."""
        return await asyncio.shield(self._exited)

    def used(self) -> Usage:
        """Return what it and its descendants have used so far."""
        try:
            leader = psutil.Process(self.id.pid)
            return _used([leader, *leader.children(recursive=True)])
        except psutil.Error:
            return Usage()

    async def stop(self, stop_signal: signal.Signals, grace_s: float) -> bool:
        """Ask it to stop; kill its group after `grace_s`. Return whether it went by itself."""
        if self._exited.done():
            return True
        # Not Popen's own, which may reap it: its group would then be killed under a number that is another's by now.
        signal.pidfd_send_signal(self._pidfd, stop_signal)
        try:
            async with asyncio.timeout(grace_s):
                await self.wait()
        except TimeoutError:
            _signal_group(self._popen.pid, signal.SIGKILL)
            await self.wait()
            return False
        return True


def _used(processes: Sequence[psutil.Process]) -> Usage:
    cpu_s, io_bytes = 0.0, 0
    for process in processes:
        try:
            cpu_s += sum(process.cpu_times()[:4])  # with that of children that have ended
            counted = process.io_counters()
            io_bytes += counted.read_bytes + counted.write_bytes
        except (psutil.Error, AttributeError, OSError):
            continue  # it has ended meanwhile, or is not ours to look at
    return Usage(cpu_s, io_bytes)


def describe_exit(code: int) -> str:
    """Say in words how a process ended."""
    if code >= 0:
        return f"exited with code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


def is_alive(process: ProcessId) -> bool:
    """Whether exactly this process (not a later one with its number) still runs."""
    try:
        found = psutil.Process(process.pid)
        # The start time is kept with 1/100 s.
        return abs(found.create_time() - process.started) < 0.05 and found.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def kill_group(process: ProcessId) -> None:
    """Kill the process and its group, if it is still the one that was recorded."""
    if is_alive(process):
        _signal_group(process.pid, signal.SIGKILL)


def kill_descendants() -> int:
    """Kill whatever still descends from this process and return how many there were."""
    left = psutil.Process().children(recursive=True)
    for process in left:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(left, timeout=5)
    return len(left)


def me() -> ProcessId:
    return ProcessId(os.getpid(), psutil.Process().create_time())


def _signal_group(group: int, signal_number: signal.Signals) -> None:
    try:
        os.killpg(group, signal_number)
    except (ProcessLookupError, PermissionError):
        return


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


async def run_to_end(
    command: tuple[str, ...], *, environment: Mapping[str, str], cwd: Path | None, log: Path, timeout_s: float
) -> int:
    """Run a command that ends by itself and return its exit code; kill it when it takes longer or we are cancelled."""
    child = Child.start(command, environment=environment, cwd=cwd, log=log, death_signal=signal.SIGKILL)
    try:
        async with asyncio.timeout(timeout_s):
            return await child.wait()
    finally:
        await child.stop(signal.SIGKILL, 1.0)
