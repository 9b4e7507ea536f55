"""Snapshots, secrets, logs and locks: what the stack keeps in files."""

import asyncio
import contextlib
import io
import resource
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from headrace_servicekit.testing import eventually
from headrace_stack import snapshot
from headrace_stack.locks import shared, try_exclusive
from headrace_stack.logfile import LogLimits, last_lines, rotate
from headrace_stack.replicas import Backend, Pool, Replicas
from headrace_stack.secrets import create_private, read_or_create
from headrace_stack.settings import DataPlane, SettingsError, read
from headrace_stack.snapshot import ComponentStatus, Phase, ProcessId, Snapshot, State
from headrace_stack.view import ranges, table
from rich.console import Console

SEEN = Snapshot(
    supervisor=ProcessId(1, 2.5),
    base_port=8080,
    phase=Phase.STARTING,
    components=(
        ComponentStatus("a", State.READY, (1, 2), ProcessId(3, 4.25), restarts=2, ready_after_s=0.5),
        ComponentStatus("b", State.WAITING, ()),
    ),
    reason="none",
    replicas=Replicas(data_planes=2),
    data_plane=DataPlane.SERVICE,
)


def test_a_snapshot_is_read_as_it_was_written(tmp_path: Path):
    snapshot.write(tmp_path / "status.json", SEEN)
    assert snapshot.read(tmp_path / "status.json") == SEEN


async def test_a_snapshot_for_which_there_is_no_room_is_written_when_there_is(tmp_path: Path):
    file, later = tmp_path / "status.json", replace(SEEN, phase=Phase.READY)
    told = snapshot.SnapshotFile(file)
    told(SEEN)
    with room_for(20):
        told(later)
        assert snapshot.read(file) == SEEN
    trying = asyncio.create_task(told.again())
    await eventually(lambda: snapshot.read(file) == later, within=5)
    trying.cancel()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"supervisor": {}}'], ids=["empty", "cut off", "a list", "foreign"])
def test_a_snapshot_that_cannot_be_read_counts_as_none(tmp_path: Path, text: str):
    (tmp_path / "status.json").write_text(text)
    assert snapshot.read(tmp_path / "status.json") is None


def test_a_secret_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path):
    first = read_or_create(tmp_path / "password")
    assert read_or_create(tmp_path / "password") == first
    assert stat.S_IMODE((tmp_path / "password").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["password"]


def test_a_secret_that_another_process_made_first_is_kept(tmp_path: Path):
    create_private(tmp_path / "password", "theirs")
    create_private(tmp_path / "password", "ours")
    assert (tmp_path / "password").read_text() == "theirs"


def test_a_log_that_outgrew_its_limit_is_cut_and_its_predecessors_are_bounded(tmp_path: Path):
    log = tmp_path / "a.log"
    limits = LogLimits(size_bytes=10, kept=2)
    with log.open("ab") as writer:  # a component keeps its file open
        for number in range(4):
            writer.write(f"line number {number}\n".encode())
            writer.flush()
            assert rotate([log], limits) == (log,)
        writer.write(b"last\n")
    kept = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert kept == {"a.log": "last\n", "a.log.1": "line number 3\n", "a.log.2": "line number 2\n"}


def test_a_log_for_whose_copy_there_is_no_room_stays_and_the_others_are_rotated(tmp_path: Path):
    large, small, older = tmp_path / "a.log", tmp_path / "b.log", tmp_path / "a.log.1"
    large.write_text("a" * 100)
    small.write_text("b" * 12)
    older.write_text("older")
    with room_for(20):
        assert rotate([large, small], LogLimits(size_bytes=10)) == (small,)
    assert (large.read_text(), older.read_text()) == ("a" * 100, "older")
    assert {path.name for path in tmp_path.iterdir()} == {"a.log", "a.log.1", "b.log", "b.log.1"}


def test_a_log_within_its_limit_is_left_alone(tmp_path: Path):
    (tmp_path / "a.log").write_text("short")
    assert rotate([tmp_path / "a.log", tmp_path / "absent.log"], LogLimits(size_bytes=10)) == ()


def test_the_last_lines_of_a_log_are_read_from_its_end(tmp_path: Path):
    (tmp_path / "a.log").write_text("\n".join(str(number) for number in range(10_000)))
    assert last_lines(tmp_path / "a.log", 2) == ("9998", "9999")
    assert last_lines(tmp_path / "absent.log", 2) == ()


def test_a_stack_is_in_use_while_anybody_holds_it(tmp_path: Path):
    with shared(tmp_path / "lock"), shared(tmp_path / "lock"):
        assert try_exclusive(tmp_path / "lock") is None
    assert try_exclusive(tmp_path / "lock") is not None


@pytest.mark.parametrize("value", ["x", "80", "65535", "-1"])
def test_a_base_port_that_cannot_be_used_is_refused_naming_its_setting(value: str):
    with pytest.raises(SettingsError, match="HEADRACE_BASE_PORT"):
        read({"HEADRACE_BASE_PORT": value})


def test_the_default_stack_has_its_front_door_on_8080_and_lives_in_the_checkout():
    settings = read({})
    assert settings.ports.front_door.number == 8080
    assert settings.home == settings.checkout / ".headrace"


def test_neighbouring_ports_are_written_as_a_range():
    assert ranges((8109, 8102, 8103, 8104, 9000)) == "8102-8104 8109 9000"


@contextlib.contextmanager
def room_for(size_bytes: int) -> Iterator[None]:
    """Let no file of this process grow beyond that: a write of more fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_the_table_of_a_stack_says_below_why_a_part_was_started_again_and_what_is_not_well_now():
    console = Console(width=80, file=io.StringIO())
    why, lacks = "not well for 16 s: port 1: refused", "not well: silent; started again in 9 s unless it is"
    parts = (
        ComponentStatus("front-door", State.READY, (1,), restarts=1, restarted_for=why),
        ComponentStatus("monitor", State.READY, (2,), detail=lacks),
        ComponentStatus("valkey", State.READY, (3,)),
    )
    with console.capture() as capture:
        console.print(table(replace(SEEN, components=parts), missing={"monitor": "silent", "valkey": None}))
    shown = [line.strip() for line in capture.get().splitlines()]
    assert shown[-2:] == [f"front-door: started again: {why}", f"monitor: {lacks}"]
    assert [line.split()[:2] for line in shown[2:5]] == [
        ["front-door", "ready"],
        ["monitor", "failed"],
        ["valkey", "ready"],
    ]


def test_the_table_of_a_stack_says_where_simulators_take_faults():
    console = Console(width=80, file=io.StringIO())
    pools = (Pool("default"), Pool("staging", Backend.SIMULATOR, 2))
    parts = tuple(
        ComponentStatus(name, State.READY, (at, 90 - at))
        for at, name in enumerate(("batcher-default", "batcher-staging", "batcher-staging-1"), 1)
    )
    with console.capture() as capture:
        console.print(table(replace(SEEN, components=parts, replicas=Replicas(pools=pools))))
    said = [line for line in capture.get().splitlines() if "faults" in line]
    assert said == [
        "batcher-staging: its simulator takes faults at 127.0.0.1:88",
        "batcher-staging-1: its simulator takes faults at 127.0.0.1:87",
    ]
