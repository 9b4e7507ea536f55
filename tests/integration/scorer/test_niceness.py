"""How far the processes of a job step back behind those that answer predictions."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import os, sys
from headrace_scorer.decisions.specs import Location, Spec
from headrace_scorer.engine import driving
from headrace_scorer.engine.messages import Access, Checked, RunOrder, Work

here = Location("bucket", "in")
work = Work("job", Spec(here), "", "", here, Access("http://127.0.0.1:1", "us-east-1", None, "bucket"))
order = RunOrder(work, Checked(), (), 1, 0, "", sys.argv[1], 80 << 20)
with driving._ray(order) as ray:
    worker = ray.get(ray.remote(lambda: os.nice(0)).remote())
print(os.nice(0), worker)
"""


def test_a_worker_of_ray_steps_back_no_further_than_the_process_that_starts_it(tmp_path: Path):
    found = subprocess.run(
        (sys.executable, "-c", PROGRAM, str(tmp_path)), capture_output=True, text=True, timeout=240, check=False
    )
    assert found.returncode == 0, found.stderr
    driver, worker = found.stdout.split()
    assert worker == driver
