"""What the service asks of the engine's processes."""

import os
import subprocess
import sys
from pathlib import Path

from headrace_scorer.engine_calls import Engine
from headrace_scorer.settings import ScorerSettings


def test_what_a_killed_scorer_left_is_removed_at_the_next_start(tmp_path: Path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    names = (
        f"hr-scorer-{ended.pid}-abc",
        f"hr-scorer-{os.getpid()}-abc",
        f"hr-scorer-{os.getppid()}-abc",
        "hr-scorer-x",
        "other",
    )
    for name in names:
        (tmp_path / name).mkdir()
    Engine(
        ScorerSettings(
            database_url="postgresql://nobody@127.0.0.1:1/scorer",
            s3_endpoint="http://127.0.0.1:1",
            registry_target="127.0.0.1:1",
            control_target="127.0.0.1:1",
            data_target="127.0.0.1:1",
            work_dir=tmp_path,
        )
    )
    assert {path.name for path in tmp_path.iterdir()} == {names[2], "hr-scorer-x", "other"}
