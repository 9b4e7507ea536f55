"""Replicas on one volume take a directory each."""

from pathlib import Path

import pytest
from headrace_batcher import state_dir
from headrace_batcher.settings import BatcherSettings
from headrace_batcher.state_dir import owned
from headrace_servicekit.runtime import StartError


async def test_replicas_take_the_first_slot_that_is_free(tmp_path: Path):
    shared = tmp_path / "{slot}"
    async with owned(shared) as first:
        async with owned(shared) as second, owned(shared) as third:
            assert [first, second, third] == [tmp_path / "0", tmp_path / "1", tmp_path / "2"]
        async with owned(shared) as fourth:
            assert fourth == tmp_path / "1"


async def test_without_a_slot_the_directory_is_one_batchers(tmp_path: Path):
    async with owned(tmp_path / "own") as held:
        assert held == tmp_path / "own"
        with pytest.raises(StartError, match="BATCHER_STATE_DIR"):
            async with owned(tmp_path / "own"):
                pass


async def test_when_every_slot_is_taken_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(state_dir, "MAX_SLOTS", 1)
    async with owned(tmp_path / "{slot}"):
        with pytest.raises(StartError, match="another batcher uses"):
            async with owned(tmp_path / "{slot}"):
                pass


@pytest.mark.parametrize(
    ("given", "advertised"),
    [
        pytest.param({}, "127.0.0.1:8090", id="one address is where it is"),
        pytest.param({"host": "0.0.0.0"}, "batcher-7:8090", id="every address is the machine, whose name is its own"),
        pytest.param({"host": "0.0.0.0", "advertise_address": "10.0.0.7:1"}, "10.0.0.7:1", id="told"),
    ],
)
def test_replicas_that_listen_everywhere_have_addresses_of_their_own(
    given: dict[str, str], advertised: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("socket.gethostname", lambda: "batcher-7")
    settings = BatcherSettings.model_validate({"control_target": "a:1", "state_dir": "/tmp", **given})
    assert settings.advertised(8090) == advertised
