"""`make demo-experiment` on the shared stack: what it prints is what happened."""

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
def test_the_better_feed_is_found_the_harmful_one_stopped_and_the_same_one_left_alone(stack: RunningStack):
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")},
        "HEADRACE_STATE_DIR": str(stack.settings.home),
    }
    done = subprocess.run(
        [sys.executable, "-m", "examples.experiments.run"],
        cwd=stack.settings.checkout,
        env=environment,
        capture_output=True,
        text=True,
        timeout=350,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = {(metric, variant): finding for metric, variant, finding in re.findall(ROW, done.stdout, re.MULTILINE)}
    assert rows["click", "personal"] == "better", done.stdout
    assert rows["refund", "greedy"] == "harmed"
    assert rows["click", "again"] in {"undecided", "futile"}, done.stdout
    assert rows["refund", "again"] in {"undecided", "safe"}
    assert "personal, greedy have no traffic; personal serves all of it" in done.stdout


ROW = r"^ *(click|refund) +(\w+) +(\w+) "
