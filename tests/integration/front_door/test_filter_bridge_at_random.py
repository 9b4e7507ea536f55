"""The filter `deploy/envoy/filter_bridge`, built with sanitizers, between an Envoy and a loop that act at random."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.kit.front_door.edge import CHECKOUT

FILTER = CHECKOUT / "deploy" / "envoy" / "filter_bridge"
PLAYED = CHECKOUT / "tests" / "kit" / "front_door" / "filter_bridge" / "played.c"
OPTIONS = (
    "-std=gnu11",
    "-g",
    "-O1",
    "-fno-omit-frame-pointer",
    "-fno-sanitize-recover=all",
    "-pthread",
    "-Wall",
    "-Werror",
)
# Enough for each bound to be met, and for streams to end at every point of their lives.
STEPS = 20_000


@pytest.fixture(scope="module", params=["address,undefined", "thread"])
def played(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, with one kind of sanitizer."""
    program = tmp_path_factory.mktemp("filter_bridge") / "played"
    sanitizer = f"-fsanitize={request.param}"
    compiler = shutil.which("cc")
    if (
        compiler is None
        or subprocess.run((compiler, sanitizer, "-shared", "-xc", "/dev/null", "-o", program)).returncode
    ):
        pytest.skip(f"no C compiler here has {sanitizer}")
    subprocess.run(
        (compiler, *OPTIONS, sanitizer, f"-I{FILTER}", PLAYED, FILTER / "repeated_answers.c", "-o", program), check=True
    )
    return program


@pytest.mark.parametrize("seed", range(1, 5))
def test_every_request_gets_its_own_answer_and_nothing_is_left_behind(played: Path, seed: int):
    # The sanitizer for threads wants memory where it has been told that it is.
    setarch = shutil.which("setarch")
    fixed = (setarch, "-R") if setarch is not None else ()
    done = subprocess.run((*fixed, played, str(seed), str(STEPS)), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
