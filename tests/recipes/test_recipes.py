"""Each recipe as somebody types it: the framework from its wheel, the file that it writes, an answer from the stack."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from headrace_servicekit.testing import eventually
from headrace_stack.settings import checkout_of_this_file

from tests.kit.clients.recipes import Page
from tests.kit.stack.running import RunningStack

# An installation fetches up to 2 GB.
pytestmark = [pytest.mark.recipes, pytest.mark.timeout(1800)]

OURS = checkout_of_this_file() / ".venv" / "bin"
# What the batcher measures against `validation.json`: the largest difference of any value.
PARITY = "parity_max_abs_diff"


async def test_a_recipe_ends_in_a_prediction_and_answers_as_the_framework_does(
    page: Page, environment: Path, stack: RunningStack, tmp_path: Path
) -> None:
    (tmp_path / "train.py").write_text(page.script)
    variables = {
        **{name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")},
        "HEADRACE_STATE_DIR": str(stack.settings.home),
        "VIRTUAL_ENV": str(environment),
        "PATH": os.pathsep.join((str(environment / "bin"), str(OURS), os.environ["PATH"])),
    }

    def typed(text: str) -> str:
        done = subprocess.run(
            ["bash", "-e", "-c", text], cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def parity() -> list[float]:
        found = json.loads(typed(f"headrace models measurements {page.model} v1 --json"))["measurements"]
        return [one["metric"]["value"] for one in found if one["metric"]["name"] == PARITY]

    for block in (block for block in page.blocks if block.language == "console"):
        typed("\n".join(line for line in block.text.splitlines() if not line.startswith("pip install")))
    assert max(await eventually(parity, within=60)) < 1e-4
