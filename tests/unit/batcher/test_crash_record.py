"""What was executing when the process died is known to the next one: real processes die here."""

import asyncio
import sys
from pathlib import Path

import pytest
from headrace_batcher.in_process.crash_record import CrashRecord

# Executes `bad` in one thread and nothing in the other, after `fine` was executed.
PROGRAM = """
import os, signal, sys
from pathlib import Path
from headrace_batcher.in_process.crash_record import CrashRecord

with CrashRecord(Path(sys.argv[1]), 2).kept() as record:
    for name in ("fine", "bad"):
        record.name(f"{name}--v1", f"digest of {name}")
    record.end(record.begin("fine--v1"))
    number = record.begin("bad--v1")
    if sys.argv[2] != "stops":
        os.kill(os.getpid(), getattr(signal, sys.argv[2]))
    record.end(number)
"""


async def dying(folder: Path, how: str) -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", PROGRAM, str(folder), how)
    await process.wait()


def crashed(folder: Path) -> list[str]:
    record = CrashRecord(folder, 2)
    return [name for name in ("fine", "bad") if record.crashed(f"digest of {name}")]


@pytest.mark.parametrize("signal", ["SIGSEGV", "SIGFPE", "SIGABRT"])
async def test_a_native_crash_names_what_was_executing_for_good(tmp_path: Path, signal: str):
    await dying(tmp_path, signal)
    assert crashed(tmp_path) == ["bad"]
    await dying(tmp_path, "stops")
    assert crashed(tmp_path) == ["bad"]


async def test_being_killed_counts_from_the_second_time_without_a_clean_stop_between(tmp_path: Path):
    await dying(tmp_path, "SIGKILL")
    await dying(tmp_path, "stops")
    await dying(tmp_path, "SIGKILL")
    assert crashed(tmp_path) == []
    await dying(tmp_path, "SIGKILL")
    assert crashed(tmp_path) == ["bad"]


def test_a_record_that_cannot_be_read_is_none(tmp_path: Path):
    (tmp_path / "deaths.json").write_text("[1")
    assert crashed(tmp_path) == []
