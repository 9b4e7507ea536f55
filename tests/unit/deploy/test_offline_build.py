"""What a build without an image registry lacks is said before it begins, all of it in one line."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from headrace_stack.settings import checkout_of_this_file

SCRIPT = checkout_of_this_file() / "deploy" / "offline" / "base-image"
NEEDED = ("sh", "dirname", "readlink", "sed", "id")
NO_DAEMON = "exit 1"
NO_IMAGE = '[ "$1" = info ]'
IMAGE = "exit 0"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of programs: those that the script itself needs, and no other."""
    for name in NEEDED:
        (tmp_path / name).symlink_to(shutil.which(name) or name)
    return tmp_path


def check(folder: Path, docker: str, *programs: str) -> subprocess.CompletedProcess[str]:
    """Ask what is lacking. docker: what stands in for the client does."""
    for name, body in (("docker", docker), *((name, "exit 0") for name in programs)):
        program = folder / name
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(0o755)
    return subprocess.run(
        [str(SCRIPT), "--check"], env={"PATH": str(folder)}, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("docker", [NO_DAEMON, NO_IMAGE])
def test_all_that_is_lacking_is_said_in_one_line_with_its_remedy(folder: Path, docker: str):
    done = check(folder, docker)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "debootstrap: apt-get install debootstrap" in line
    assert ("no Docker daemon answers" in line) == (docker == NO_DAEMON)
    assert ("root: run it with sudo" in line) == (os.geteuid() != 0)


@pytest.mark.skipif(os.geteuid() != 0, reason="whoever is not root lacks that")
def test_nothing_is_built_where_nothing_is_lacking(folder: Path):
    done = check(folder, NO_IMAGE, "debootstrap")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_nothing_is_needed_where_the_image_is_there(folder: Path):
    done = check(folder, IMAGE)
    assert (done.returncode, done.stderr) == (0, "")
    assert "is there already" in done.stdout
