"""What the stack tells the Python of our own processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from headrace_stack import topology
from headrace_stack.component import Component
from headrace_stack.ports import Ports
from headrace_stack.settings import DataPlane, StackSettings, checkout_of_this_file

REPORT = "import json, sys; print(json.dumps([sys.dont_write_bytecode, sys.pycache_prefix]))"


def ours(home: Path, data_plane: DataPlane) -> list[Component]:
    """Return our services and launchers. PostgreSQL's is isolated (`-I`) and imports next to nothing."""
    settings = StackSettings(checkout_of_this_file(), home, Ports(8080), data_plane=data_plane)
    settings.create_directories()
    return [one for one in topology.components(settings) if one.command[:2] == (sys.executable, "-P")]


@pytest.mark.parametrize("data_plane", DataPlane)
def test_compiled_modules_are_kept_whatever_the_caller_says_of_them(tmp_path: Path, data_plane: DataPlane):
    components = ours(tmp_path, data_plane)
    assert {"registry", "front-door"} <= {component.name for component in components}
    for component in components:
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **component.environment}
        told = subprocess.run([sys.executable, "-c", REPORT], env=environment, capture_output=True, check=True)
        assert json.loads(told.stdout) == [False, str(checkout_of_this_file() / ".headrace" / "bytecode")]
