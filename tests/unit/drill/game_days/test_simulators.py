"""Faults are set and cleared on every simulator; what one refuses, or that nobody is there, names its address."""

import json
from pathlib import Path

import pytest
from headrace_client.errors import HeadraceError, InvalidArgument, PreconditionFailed, Unavailable
from headrace_client.local_stack import LocalStack
from headrace_drill.game_days.simulators import Simulators, local_simulators
from headrace_simulator.control import Control, ControlServer
from headrace_simulator.injection import Injection

FAULT = {"kind": "slow", "base_ms": 500, "for_s": 30}


class Served:
    """A simulator's control interface on a real port."""

    def __init__(self, token: str | None = None) -> None:
        self.injection = Injection(lambda: 0.0)
        self.server = ControlServer(Control(self.injection, token), "127.0.0.1", 0)

    async def __aenter__(self) -> "Served":
        self.server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.server.stop()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server.port}"

    @property
    def names(self) -> list[str]:
        return [one["name"] for one in self.injection.listing()]


async def test_a_fault_is_set_and_cleared_everywhere():
    async with Served() as one, Served() as other:
        simulators = Simulators([one.address, other.address])
        await simulators.put("late", FAULT)
        assert one.names == other.names == ["late"]
        assert await simulators.hits("late") == 0
        other.injection.clear()  # somebody else was quicker
        await simulators.clear("late")
        assert one.names == []


async def test_a_token_is_shown_and_without_it_the_refusal_is_told():
    async with Served("secret") as one:
        await Simulators([one.address], "secret").put("late", FAULT)
        with pytest.raises(PreconditionFailed, match="control-token-file") as refused:
            await Simulators([one.address]).put("late", FAULT)
        assert refused.value.reason == "SIMULATOR_REFUSED"


async def test_what_a_simulator_cannot_use_is_told_by_its_field():
    async with Served() as one:
        with pytest.raises(InvalidArgument, match=one.address) as refused:
            await Simulators([one.address]).put("late", {**FAULT, "base_ms": -1})
    assert refused.value.violations[0].field == "base_ms"


@pytest.mark.parametrize("address", ["127.0.0.1:1", "no such host:1", "127.0.0.1:port", "", "[::1"])
async def test_nobody_there_is_told_with_the_address(address: str):
    with pytest.raises(HeadraceError, match="does not answer") as refused:
        await Simulators([address]).put("late", FAULT)
    assert isinstance(refused.value, Unavailable)


def test_the_simulators_of_a_local_stack_are_found_by_the_pool(tmp_path: Path):
    pools = [{"name": "staging", "backend": "simulator"}, {"name": "default", "backend": "triton"}]
    ports = {
        "batcher-staging": [1, 9001],
        "batcher-staging-2": [2, 9002],
        "batcher-staging-cpu": [3],
        "batcher-default": [4],
    }
    components = [{"name": name, "ports": of} for name, of in ports.items()]
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "status.json").write_text(json.dumps({"replicas": {"pools": pools}, "components": components}))
    assert local_simulators(LocalStack(tmp_path), "staging") == ("127.0.0.1:9001", "127.0.0.1:9002")
    for stack, pool in (
        (LocalStack(tmp_path), "default"),
        (LocalStack(tmp_path / "none"), "staging"),
        (None, "staging"),
    ):
        with pytest.raises(InvalidArgument, match=f"none in pool '{pool}'; start one by .*batcher-{pool} --backend"):
            local_simulators(stack, pool)
