"""`make demo-rollout` on the shared stack: what it prints is what happened."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.kit.stack.running import RunningStack


@pytest.mark.faults
@pytest.mark.long
@pytest.mark.timeout(400)
def test_a_shadow_is_compared_three_versions_are_taken_back_by_themselves_and_one_is_promoted(stack: RunningStack):
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")},
        "HEADRACE_STATE_DIR": str(stack.settings.home),
    }
    done = subprocess.run(
        [sys.executable, "-m", "examples.rollouts.run"],
        cwd=stack.settings.checkout,
        env=environment,
        capture_output=True,
        text=True,
        timeout=350,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = re.findall(r"^ *(\w+) +(rolled back|succeeded) +(\S+)( s)? +(\d+) *$", done.stdout, re.M)
    assert [(version, word) for version, word, *_ in rows] == [
        ("errors", "rolled back"),
        ("garbage", "rolled back"),
        ("slow", "rolled back"),
        ("v2", "succeeded"),
    ], done.stdout
    assert all(float(seconds) < 60 for _, _, seconds, *_ in rows[:3])
    assert re.search(r"v2 as a shadow.*pairs compared: no errors, no NaN", done.stdout), done.stdout
