"""`make demo-optimise` on the shared stack: what it prints is what happened."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.kit.stack.running import RunningStack


@pytest.mark.long
@pytest.mark.faults
@pytest.mark.timeout(400)
def test_a_pickle_becomes_a_tuned_version_in_production(stack: RunningStack):
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")},
        "HEADRACE_STATE_DIR": str(stack.settings.home),
    }
    done = subprocess.run(
        [sys.executable, "-m", "examples.optimised.run"],
        cwd=stack.settings.checkout,
        env=environment,
        capture_output=True,
        text=True,
        timeout=350,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "none does: nothing registered" in done.stdout
    assert "requests/s within 50 ms" in done.stdout
