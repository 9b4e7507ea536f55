"""What loading may use is kept by the kernel while it lasts, and taken back after it."""

import importlib.util
import json
import resource
import signal
import subprocess
import sys
from types import ModuleType

import pytest

from tests.kit.deployment.topology import CHECKOUT

PATH = CHECKOUT / "deploy" / "triton" / "startup" / "headrace_budget.py"


@pytest.fixture(scope="module")
def budget() -> ModuleType:
    spec = importlib.util.spec_from_file_location("headrace_budget", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ended(body: str) -> subprocess.CompletedProcess[bytes]:
    """Run a program that imports the module, in a process of its own."""
    program = f"import sys; sys.path.insert(0, {str(PATH.parent)!r}); import headrace_budget, time, resource\n{body}"
    return subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, timeout=60, check=False)


def test_a_budget_is_read_from_a_models_configuration(budget):
    parameters = {
        "headrace_load_cpu_s": {"string_value": "2.5"},
        "headrace_load_memory_bytes": {"string_value": "1024"},
    }
    assert budget.of(json.dumps({"parameters": parameters})) == (2.5, 1024)
    assert budget.of("{}") == (None, None)


def test_limits_are_taken_back_when_loading_is_over(budget):
    which = (resource.RLIMIT_CPU, resource.RLIMIT_AS, resource.RLIMIT_CORE)
    before = [resource.getrlimit(one) for one in which]
    with budget.kept(1000.0, 64 * 1024**3):
        assert resource.getrlimit(resource.RLIMIT_AS)[0] != before[1][0]
    with pytest.raises(ZeroDivisionError), budget.kept(1000.0, 64 * 1024**3):
        _ = 1 / 0
    assert [resource.getrlimit(one) for one in which] == before
    with budget.kept(None, None):
        assert resource.getrlimit(resource.RLIMIT_AS) == before[1]


def test_who_uses_more_of_a_processor_is_ended():
    done = ended("with headrace_budget.kept(0.1, None):\n while True: pass")
    assert done.returncode == -signal.SIGXCPU


def test_who_wants_more_memory_is_told_that_there_is_none_and_later_gets_it():
    done = ended(
        "try:\n"
        " with headrace_budget.kept(None, 2**20): bytearray(2**32)\n"
        "except MemoryError: print('none', len(bytearray(2**26)))"
    )
    assert done.stdout.split() == [b"none", b"67108864"], done.stderr


def test_who_went_on_without_memory_is_told_in_the_end():
    done = ended(
        "try:\n with headrace_budget.kept(None, 2**20): bytearray(2**26)\nexcept MemoryError as error: print(error)"
    )
    assert done.stdout.strip() == b"bad allocation: more than 1048576 bytes", done.stderr
