"""A Ray of a job's own: behind those that answer predictions, and on loopback alone."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

PROGRAM = """
import json, os, sys
import psutil
from headrace_scorer.decisions.specs import Location, Spec
from headrace_scorer.engine import run
from headrace_scorer.engine.messages import Access, Checked, RunOrder, Work

here = Location("bucket", "in")
work = Work("job", Spec(here), "", "", here, Access("http://127.0.0.1:1", "us-east-1", None, "bucket"))
order = RunOrder(work, Checked(), (), 1, 0, "", sys.argv[1], 80 << 20)
with run._ray(order) as ray:
    worker = ray.get(ray.remote(lambda: os.nice(0)).remote())
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    found = [one for process in processes for one in process.net_connections("inet") if not one.raddr]
    listening = sorted({one.laddr.ip for one in found if one.status in ("LISTEN", "NONE")})
    titles = [" ".join(process.cmdline()) for process in processes]
told = {"driver": os.nice(0), "worker": worker, "listening": listening, "titles": titles}
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What the processes of a Ray were like while it ran."""
    folder = tmp_path_factory.mktemp("ray")
    command = (sys.executable, "-c", PROGRAM, str(folder))
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.long
def test_a_worker_of_ray_steps_back_no_further_than_the_process_that_starts_it(found: dict[str, list[str]]):
    assert found["worker"] == found["driver"]


@pytest.mark.long
def test_ray_listens_on_loopback_alone_and_has_no_pages(found: dict[str, list[str]]):
    assert found["listening"]
    assert set(found["listening"]) <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
    # Its process is there without the pages: it counts nodes for the driver.
    (dashboard,) = [title for title in found["titles"] if "dashboard.py" in title]
    assert "--minimal" in dashboard
