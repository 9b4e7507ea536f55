"""The lock file of a PostgreSQL that was killed, as the next start finds it."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from headrace_stack.components.postgres import forget_dead_postmaster


def locked(folder: Path, pid: object) -> Path:
    """Write a lock file as a server does: its process id, and lines that do not matter here."""
    lock = folder / "postmaster.pid"
    lock.write_text(f"{pid}\n{folder}\n1795616023\n")
    return lock


def test_a_dead_server_that_nobody_has_waited_for_holds_no_lock(tmp_path: Path):
    server = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    server.kill()
    os.waitid(os.P_PID, server.pid, os.WEXITED | os.WNOWAIT)
    assert psutil.Process(server.pid).status() == psutil.STATUS_ZOMBIE
    lock = locked(tmp_path, server.pid)
    forget_dead_postmaster(tmp_path)
    assert not lock.exists()
    server.wait()


def test_the_lock_of_a_living_process_is_left_to_postgresql(tmp_path: Path):
    lock = locked(tmp_path, os.getpid())
    forget_dead_postmaster(tmp_path)
    assert lock.exists()


@pytest.mark.parametrize("pid", [2**22 + 1, "", "nonsense"])
def test_whatever_else_stands_there_is_left_to_postgresql(tmp_path: Path, pid: object):
    lock = locked(tmp_path, pid)
    forget_dead_postmaster(tmp_path)
    assert lock.exists()


def test_a_server_that_stopped_leaves_nothing_to_forget(tmp_path: Path):
    forget_dead_postmaster(tmp_path)
    assert list(tmp_path.iterdir()) == []
