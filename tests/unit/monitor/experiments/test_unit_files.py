"""Where a monitor keeps the units of experiments: a folder of its own, which is found again."""

import os
from pathlib import Path

import pytest
from headrace_monitor.judge.experiments.unit_files import files_folder


def test_two_monitors_on_one_machine_have_a_folder_each_and_find_it_again(tmp_path: Path):
    with files_folder(tmp_path) as first, files_folder(tmp_path) as second:
        assert first != second
        (first / "kept.duckdb").touch()
    with files_folder(tmp_path) as again:
        assert again == first
        assert (again / "kept.duckdb").exists()


def made_open(folder: Path) -> None:
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)


def made_a_link(folder: Path) -> None:
    elsewhere = folder.with_name("elsewhere")
    elsewhere.mkdir(mode=0o700)
    folder.symlink_to(elsewhere)


def made_by_another(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    if os.geteuid():
        pytest.skip("only root can give a folder to somebody else")
    os.chown(folder, 65534, 65534)


def made_a_file(folder: Path) -> None:
    folder.touch(mode=0o600)


@pytest.mark.parametrize("made", [made_open, made_a_link, made_by_another, made_a_file])
def test_a_folder_that_somebody_else_may_have_prepared_is_left_alone(tmp_path: Path, made):
    with files_folder(tmp_path) as usual:
        name = usual.name
    other = tmp_path / "shared"
    other.mkdir()
    made(other / name)
    with files_folder(other) as folder:
        assert folder.name != name
        assert folder.stat().st_mode & 0o777 == 0o700
