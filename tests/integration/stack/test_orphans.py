"""A supervisor adopts what its children leave behind, reaps it, and still hears how its own children ended."""

import subprocess
import sys
from pathlib import Path

ADOPTING = """
import asyncio, os, signal, sys
from pathlib import Path
import psutil
from headrace_stack.process import Child, adopt_orphans

SHELL = "for one in 1 2 3; do (sleep 0.$one &); done; sleep 1; exit 7"

async def main() -> None:
    adopt_orphans()
    us = psutil.Process()
    told = dict(environment=dict(os.environ), cwd=None, log=Path(sys.argv[1]), death_signal=signal.SIGKILL)
    first, second = [Child.start(("sh", "-c", SHELL), **told) for _ in range(2)]
    most = 0
    async with asyncio.timeout(20):
        while not (most > 2 and len(us.children()) == 2):
            most = max(most, len(us.children()))
            await asyncio.sleep(0.01)
        print(await first.wait(), await second.wait(), len(us.children()))

asyncio.run(main())
"""


def test_what_children_leave_behind_is_reaped_and_their_exit_codes_are_heard(tmp_path: Path):
    command = (sys.executable, "-P", "-c", ADOPTING, str(tmp_path / "log"))
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("7 7 0\n", "")
