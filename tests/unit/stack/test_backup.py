"""What is put back when a backup is not whole. The commands beside the services are scripts that say what was asked."""

from __future__ import annotations

import io
import os
import pty
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from headrace_stack import backup, cli, topology
from headrace_stack.component import Component
from headrace_stack.components import postgres
from headrace_stack.lifecycle import StackError
from headrace_stack.settings import StackSettings, read

from tests.kit.deployment.topology import services


async def nothing_is_missing() -> None:
    return None


class Commands:
    """Stands for the services' commands, pg_restore and psql: each run writes a line; `exits` says how one ends."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder, self._asked = folder, folder / "asked"
        folder.mkdir()
        script = folder / "pg_restore"
        script.write_text(
            f"#!{sys.executable}\nimport pathlib, sys\nname = pathlib.Path(sys.argv[0]).name\n"
            f"words = [word for word in sys.argv[1:] if not word.startswith(('-', '/'))]\n"
            f"words = words or [pathlib.Path(sys.argv[-1]).stem]\n"
            f"open({str(self._asked)!r}, 'a').write(' '.join([name, *words]) + '\\n')\n"
            f"ends = pathlib.Path({str(folder)!r}, name + '.exit')\n"
            f"sys.exit(int(ends.read_text()) if ends.exists() else 0)\n"
        )
        script.chmod(0o700)
        (folder / "psql").symlink_to(script)
        for name in ("registry", "router_control", "monitor"):
            (folder / name).symlink_to(script)
            component = Component(name, (str(folder / name),), nothing_is_missing)
            monkeypatch.setattr(topology, name, lambda settings, number=0, component=component: component)
        monkeypatch.setattr(postgres, "binaries", lambda: folder)

    def exits(self, name: str, code: int) -> None:
        (self._folder / f"{name}.exit").write_text(str(code))

    @property
    def asked(self) -> list[str]:
        return self._asked.read_text().splitlines() if self._asked.exists() else []


MONITOR = (
    "pg_restore monitor",
    "psql monitor",
    "monitor migrate",
    "monitor renew-incarnation",
    "monitor restore-log",
)
ALL = [
    "registry restore",
    "pg_restore router",
    "psql router",
    "router_control migrate",
    "router_control renew-incarnation",
    *(MONITOR if topology.MONITOR in services() else ()),
]


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    return Commands(tmp_path / "bin", monkeypatch)


@pytest.fixture
def settings(tmp_path: Path) -> StackSettings:
    told = read({"HEADRACE_STATE_DIR": str(tmp_path / "home")})
    told.identity.mkdir(parents=True)
    return told


@pytest.fixture
def taken(tmp_path: Path) -> Path:
    folder = tmp_path / "backup"
    for part in ("registry", "monitor-log"):
        (folder / part).mkdir(parents=True)
    for part in ("router.dump", "monitor.dump"):
        (folder / part).touch()
    return folder


def test_a_backup_is_put_back_part_by_part(commands: Commands, settings: StackSettings, taken: Path):
    backup.restore(settings, taken)
    assert commands.asked == ALL


def test_where_only_the_core_runs_the_monitors_part_is_neither_needed_nor_put_back(
    commands: Commands, settings: StackSettings, taken: Path
):
    shutil.rmtree(taken / "monitor-log")
    (taken / "monitor.dump").unlink()
    backup.restore(replace(settings, parts=("core",)), taken)
    assert commands.asked == [line for line in ALL if line not in MONITOR]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Make standard input a terminal; what is written to its other end is typed."""
    typed, seen = pty.openpty()
    with open(seen, encoding="utf-8") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield typed
    os.close(typed)


def restored(folder: Path, settings: StackSettings, monkeypatch: pytest.MonkeyPatch, *options: str) -> None:
    monkeypatch.setattr(cli, "_running", lambda: settings)
    cli.commands(["restore", *options, str(folder)], standalone_mode=False)


def test_somebody_at_a_terminal_is_asked_before_anything_is_lost(
    commands: Commands,
    settings: StackSettings,
    taken: Path,
    terminal: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    os.write(terminal, b"\n")
    with pytest.raises(StackError, match="nothing was changed"):
        restored(taken, settings, monkeypatch)
    assert commands.asked == []
    assert "predictions, outcomes, counts and alerts that are newer than the backup are lost" in capsys.readouterr().out
    os.write(terminal, b"y\n")
    restored(taken, settings, monkeypatch)
    assert commands.asked == ALL


def test_a_script_has_to_say_that_it_may_be_lost_and_is_told_what_goes(
    commands: Commands,
    settings: StackSettings,
    taken: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    with pytest.raises(StackError, match=r"predictions, outcomes, .* lost: pass --yes \(make restore … YES=1\)"):
        restored(taken, settings, monkeypatch)
    assert commands.asked == []
    restored(taken, settings, monkeypatch, "--yes")
    assert "predictions, outcomes, counts and alerts that are newer than the backup are lost" in capsys.readouterr().out
    assert commands.asked == ALL


def test_model_files_that_are_nowhere_are_told_when_everything_else_is_back(
    commands: Commands, settings: StackSettings, taken: Path
):
    commands.exits("registry", 3)
    with pytest.raises(backup.FilesMissing, match="some model files are nowhere"):
        backup.restore(settings, taken)
    assert commands.asked == ALL


def test_what_fails_ends_it(commands: Commands, settings: StackSettings, taken: Path):
    commands.exits("registry", 1)
    with pytest.raises(StackError, match="it failed"):
        backup.restore(settings, taken)
    assert commands.asked == ALL[:1]
