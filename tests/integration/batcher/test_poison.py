"""A poison request through a data plane with two batchers, among callers who mean no harm."""

import asyncio
from collections import Counter
from pathlib import Path

import grpc
import grpc.aio
import numpy as np
import pytest
from headrace_servicekit.testing import eventually

from tests.kit.batcher.service import BatcherRig
from tests.kit.models import onnx_models
from tests.kit.models.triton_processes import dying_whole
from tests.kit.router.data_plane import DataPlane, data_plane
from tests.kit.router.fake_control import table
from tests.kit.router.predict_requests import predict_request
from tests.kit.stack.logs import logged_lines

CALLERS = 12


async def ask(router: DataPlane, x: int) -> str:
    """Return what a caller with a patience of 20 s is told: OK, or the reason of the refusal."""
    request = predict_request("fatal", ("x", "INT64", [1], np.array([x], dtype=np.int64).tobytes()))
    try:
        answer = await router.stub.Predict(request, timeout=20)
    except grpc.aio.AioRpcError as error:
        return next((reason for reason in REASONS if reason in f"{error.trailing_metadata()}"), error.code().name)
    assert np.frombuffer(answer.raw_output_contents[0], "<i8") == -(2**63 // (x + 1))
    return "OK"


REASONS = ("QUARANTINED_INPUT", "NO_BACKEND", "BACKEND_CRASHED", "MODEL_REJECTED_INPUT")


@pytest.mark.faults
@pytest.mark.parametrize("whole", [pytest.param(False, id="its model"), pytest.param(True, id="Triton")])
async def test_poison_is_quarantined_and_no_innocent_request_fails_more_than_once(
    triton_rig: BatcherRig, tmp_path: Path, whole: bool
):
    version = await triton_rig.version("fatal", onnx_models.fatal())
    triton_rig.want(version)
    triton_rig.control.put_table(table("fatal", [version]))
    twin = triton_rig.twin(tmp_path / "twin")
    failures: list[str] = []
    answered: Counter[str] = Counter()
    over = asyncio.Event()

    async def caller(router: DataPlane, number: int) -> None:
        """Ask one thing after the other, none again before the one before is answered; at most one failure each."""
        x = number
        while not over.is_set():
            x += CALLERS
            outcome = await ask(router, x)
            if outcome != "OK":
                failures.append(outcome)
                # Callers wait as they are told to.
                await asyncio.sleep(1.0)
                outcome = await ask(router, x)
            answered[outcome] += 1
            await asyncio.sleep(0.01)

    with logged_lines() as lines:
        async with (
            triton_rig.running() as one,
            twin.running() as other,
            data_plane(
                triton_rig.control.target,
                {"default": [one.servers[0].address, other.servers[0].address]},
                tmp_path / "data",
            ) as router,
            dying_whole(triton_rig.models, twin.models) if whole else asyncio.timeout(None),
        ):
            await eventually(lambda: len(lines.of("version ready")) == 2, within=60)

            async def served() -> bool:
                return await ask(router, 1) == "OK"

            await eventually(served, within=10)
            async with asyncio.TaskGroup() as callers:
                for number in range(CALLERS):
                    callers.create_task(caller(router, number))
                await eventually(lambda: answered["OK"] > 50, within=30)
                assert await ask(router, -2) == "QUARANTINED_INPUT"
                crashes = len(lines.of("triton ended" if whole else "version crashed"))
                # Its caller is stubborn.
                assert [await ask(router, -2) for _ in range(5)] == ["QUARANTINED_INPUT"] * 5
                before = answered["OK"]
                await eventually(lambda: answered["OK"] > before + 50, within=30)
                over.set()
            assert await router.metric("headrace_router_quarantined_total") == 5
        assert len(lines.of("triton ended" if whole else "version crashed")) == crashes == 2
    assert set(answered) == {"OK"}, (answered, failures)
    assert len(lines.of("input quarantined")) == 1
    print(f"{answered['OK']} innocent requests answered, {len(failures)} of them the second time")  # noqa: T201
