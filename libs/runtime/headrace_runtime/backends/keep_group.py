"""Runs a program and ends its process group when the parent process dies, in whatever way.

    python -I -S keep_group.py PARENT_PID PROGRAM ARGUMENT…

It becomes the leader of a process group of its own, so that a terminal's Ctrl-C does not reach it, and stays in the
session: Linux weighs priorities of threads within a session only, and models are loaded at a lower one.

The kernel can kill a child of a dead process, but not its grandchildren: Triton's stubs are such, and a stub whose
Triton is killed while it loads a model hangs for ever.
"""

import ctypes
import os
import signal
import subprocess
import sys

_PR_SET_PDEATHSIG = 1
# What the kernel sends us when the parent dies; all other signals keep their meaning.
_PARENT_DIED = signal.SIGUSR1


def main(parent: int, command: list[str]) -> int:
    os.setpgid(0, 0)
    signal.signal(_PARENT_DIED, lambda _number, _frame: os.killpg(0, signal.SIGKILL))
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(_PARENT_DIED), 0, 0, 0)
    if os.getppid() != parent:  # it died before we asked
        return 1
    # A stop that comes before there is anything to stop must not be lost.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        child = subprocess.Popen(command, preexec_fn=_unblock)
    except OSError as error:
        sys.exit(f"cannot start {command[0]}: {error.strerror}")
    signal.signal(signal.SIGTERM, lambda _number, _frame: child.send_signal(signal.SIGTERM))
    _unblock()
    code = child.wait()
    return code if code >= 0 else 128 - code


def _unblock() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
