"""What a component imports before it is ready: most of what a start of the stack takes of a processor."""

import subprocess
import sys
from importlib.util import find_spec

import pytest

LOAD = """
import importlib, sys
importlib.import_module(sys.argv[1])
print(*[name for name in sys.argv[2:] if name in sys.modules])
"""


@pytest.mark.parametrize(
    ("module", "later"),
    [
        pytest.param(
            "headrace_monitor.__main__",
            ("scipy.special", "scipy.stats", "scipy.optimize", "duckdb"),
            id="the monitor: a third of a second for what the first look at a window needs",
            marks=pytest.mark.skipif(find_spec("headrace_monitor") is None, reason="the part is not in this checkout"),
        ),
        pytest.param(
            "headrace_runtime.artifacts.fetcher", ("aiobotocore", "boto3"), id="the fetcher: an S3 client for no file"
        ),
        pytest.param("headrace_batcher.__main__", ("aiobotocore", "boto3"), id="the batcher: what its fetcher has"),
        pytest.param(
            "headrace_stack.__main__", ("pydantic", "grpc", "structlog"), id="the supervisor: what services have"
        ),
    ],
)
def test_what_is_not_needed_to_start_is_imported_when_it_is_needed(module: str, later: tuple[str, ...]):
    done = subprocess.run([sys.executable, "-c", LOAD, module, *later], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
