"""The first minutes of a newcomer: the Makefile and the search for an interpreter."""

import os
import subprocess
from pathlib import Path

import pytest
from headrace_stack.settings import checkout_of_this_file
from headrace_stack.triton_environment import build

CHECKOUT = checkout_of_this_file()


def bootstrap(directory: Path, python: str) -> subprocess.CompletedProcess[str]:
    command = ["sh", str(CHECKOUT / "libs" / "stack" / "bootstrap.sh")]
    environment = {**os.environ, "HEADRACE_PYTHON": python}
    return subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        pytest.param("exit 1", "does not run", id="a broken one"),
        pytest.param("echo 'is not CPython 3.11 or 3.12 but CPython 3.9.1'", "is not CPython 3.11", id="an old one"),
        pytest.param("echo 'has no venv module'", "has no venv module", id="one without venv"),
    ],
)
def test_an_interpreter_that_does_not_fit_is_refused_with_the_reason(tmp_path: Path, script: str, complaint: str):
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    refused = bootstrap(tmp_path, str(python))
    assert refused.returncode == 1
    assert f"{python} {complaint}" in refused.stderr
    assert "HEADRACE_PYTHON" in refused.stderr
    assert not (tmp_path / ".headrace").exists()


def test_a_disk_that_is_too_small_is_refused_before_anything_is_written(tmp_path: Path):
    df = tmp_path / "df"
    df.write_text("#!/bin/sh\necho Filesystem 1024-blocks Used Available\necho tmpfs 61440 0 61440\n")
    df.chmod(0o755)
    refused = subprocess.run(
        ["sh", str(CHECKOUT / "libs" / "stack" / "bootstrap.sh")],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert refused.returncode == 1
    assert f"needs 2.4 GB in {tmp_path}, and 60 MB are free there" in refused.stderr
    assert not (tmp_path / ".headrace").exists()


def test_no_interpreter_at_all_is_said(tmp_path: Path):
    refused = bootstrap(tmp_path, str(tmp_path / "absent"))
    assert refused.returncode == 1
    assert "none" in refused.stderr


@pytest.mark.parametrize(("said", "agreed"), [((), False), (("YES=0",), False), (("YES=1",), True)])
def test_make_agrees_to_a_restore_for_nobody(said: tuple[str, ...], agreed: bool):
    shown = subprocess.run(
        ["make", "--dry-run", "restore", "FROM=folder", *said], cwd=CHECKOUT, capture_output=True, text=True, timeout=30
    )
    assert shown.returncode == 0, shown.stderr
    assert 'restore --yes "folder"' in shown.stdout if agreed else "--yes" not in shown.stdout


def test_the_triton_environment_is_built_once(tmp_path: Path):
    assert build(CHECKOUT) is False
    launcher = subprocess.run(
        [CHECKOUT / "deploy" / "triton" / "launch"],
        env={**os.environ, "HEADRACE_TRITON_VENV": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=10,
    )
    assert launcher.returncode == 1
    assert "make setup" in launcher.stderr


_TURN = """
import ctypes, os, struct
buffer = ctypes.create_string_buffer(48)
ctypes.CDLL(None).syscall({"x86_64": 315, "aarch64": 275}[os.uname().machine], 0, buffer, 48, 0)
print(struct.unpack("=IIQiIQQQ", buffer.raw)[5])
"""


def test_a_models_process_starts_with_long_turns_and_what_becomes_triton_does_not():
    build(CHECKOUT)
    # As the stub of the Python backend starts it: no variable of Python's counts.
    python = [CHECKOUT / ".headrace" / "triton-venv" / "bin" / "python", "-I", "-c", _TURN]
    turns = [
        int(subprocess.check_output(python, env={**os.environ, **marked}, timeout=10))
        for marked in ({}, {"HEADRACE_MODEL_PROCESS": "1"})
    ]
    if turns == [0, 0]:
        pytest.skip("this kernel has no slices of a thread's own (Linux 6.12 and later have)")
    assert turns[1] == 100_000_000 > turns[0]


_IMPORTED = """
import os, sys
print([name for name in ("numpy", "onnxruntime") if name in sys.modules], os.getpriority(os.PRIO_PROCESS, 0))
"""


def test_a_models_process_has_imported_what_it_needs_and_keeps_its_own_priority():
    build(CHECKOUT)
    python = [CHECKOUT / ".headrace" / "triton-venv" / "bin" / "python", "-I", "-c", _IMPORTED]
    own = os.getpriority(os.PRIO_PROCESS, 0)
    for marked, imported in (({}, []), ({"HEADRACE_MODEL_PROCESS": "1"}, ["numpy", "onnxruntime"])):
        said = subprocess.check_output(python, env={**os.environ, **marked}, text=True, timeout=30)
        assert said == f"{imported} {own}\n"


def test_make_alone_says_what_there_is():
    said = subprocess.run(["make", "--no-print-directory"], cwd=CHECKOUT, capture_output=True, text=True, timeout=30)
    assert said.returncode == 0
    for target in ("demo", "setup", "up", "down", "status", "test"):
        assert f"make {target} " in said.stdout


def test_ci_runs_exactly_the_readme_test_command():
    lines = (CHECKOUT / ".ci" / "run").read_text().splitlines()
    assert [line for line in lines if "make" in line and not line.startswith("#")] == ["exec make test"]
