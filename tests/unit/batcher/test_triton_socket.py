"""Where a batcher has the socket to its Triton."""

import stat
from pathlib import Path

import pytest
from headrace_batcher.settings import BatcherSettings
from headrace_batcher.state_dir import triton_target
from headrace_servicekit.runtime import StartError
from headrace_servicekit.unix_sockets import MAX_PATH_BYTES


def settings(state_dir: Path, **given: str) -> BatcherSettings:
    return BatcherSettings.model_validate({"control_target": "a:1", "state_dir": state_dir, **given})


async def test_it_is_in_the_state_directory_in_a_folder_that_only_this_user_enters(tmp_path: Path):
    async with triton_target(settings(tmp_path, triton_command="launch")) as target:
        assert target == f"unix:{tmp_path}/triton/grpc:1"
    assert stat.S_IMODE((tmp_path / "triton").stat().st_mode) == 0o700


async def test_a_directory_too_long_for_a_socket_has_it_in_a_short_one_that_goes_with_the_batcher(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    short = Path("/tmp")
    for runtime_dir, parent in ((str(tmp_path / "gone"), short), ("", short), (str(tmp_path), tmp_path)):
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime_dir)
        async with triton_target(settings(tmp_path / ("x" * 100), triton_command="launch")) as target:
            path = Path(target.removeprefix("unix:"))
            assert path.parent.parent == parent
            assert len(str(path)) <= MAX_PATH_BYTES
            assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert not path.parent.exists()


async def test_a_triton_that_others_run_would_not_find_that_one(tmp_path: Path):
    with pytest.raises(StartError, match=r"at most 107; set BATCHER_TRITON_TARGET"):
        async with triton_target(settings(tmp_path / ("x" * 100))):
            pass


async def test_what_the_settings_name_is_taken_as_it_is(tmp_path: Path):
    for target in ("127.0.0.1:8001", f"unix:{tmp_path}/own/t:5"):
        async with triton_target(settings(tmp_path, triton_target=target, triton_command="launch")) as found:
            assert found == target
    assert (tmp_path / "own").is_dir()
