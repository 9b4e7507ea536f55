"""How PostgreSQL, which refuses root, runs when root starts it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from headrace_stack import unprivileged

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root has anything to give up")


def as_nobody(*command: str) -> subprocess.CompletedProcess[str]:
    launcher = [sys.executable, "-I", "-S", unprivileged.__file__, str(int(signal.SIGKILL))]
    return subprocess.run([*launcher, *command], capture_output=True, text=True, timeout=20)


def test_a_program_below_a_directory_closed_to_nobody_is_found_and_runs(tmp_path: Path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    program = closed / "program"
    program.write_text("#!/bin/sh\nid -u\n")
    program.chmod(0o755)
    # `test -x` asks by access(2), as initdb does.
    ran = as_nobody("/bin/sh", "-c", f"test -x {program} && {program}")
    assert (ran.returncode, ran.stdout.strip()) == (0, "65534")


def test_nothing_else_of_root_is_left():
    status = as_nobody("/bin/cat", "/proc/self/status").stdout
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    only_dac_override = f"{1 << 1:016x}"
    assert fields["Uid"].split() == ["65534"] * 4
    assert {fields[name] for name in ("CapPrm", "CapEff", "CapInh", "CapAmb")} == {only_dac_override}
    assert fields["Groups"].strip() == ""
    assert fields["NoNewPrivs"] == "1"
