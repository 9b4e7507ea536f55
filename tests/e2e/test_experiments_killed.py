"""The monitor and PostgreSQL killed in the middle of starting and concluding an experiment: asking again is enough."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from headrace_client import Client, Outcome
from headrace_servicekit.testing import eventually

from tests.kit import parts
from tests.kit.headrace_cli import Headrace

pytestmark = [pytest.mark.faults, pytest.mark.long, pytest.mark.timeout(500)]

USERS = 500
ROW = np.array([[0, 1, 2, 3]], np.float32)


async def disturbed(headrace: Headrace, victim: str, after_s: float, *words: str) -> None:
    """Give a command, kill a part while it runs, and give it again until it is done."""
    command = asyncio.create_task(asyncio.to_thread(headrace.run, *words))
    await asyncio.wait([command], timeout=after_s)
    was = parts.kill(headrace.stack, victim)
    await command
    await parts.back(headrace.stack, victim, was, within=120)
    outputs: list[str] = []

    def done() -> bool:
        answer = headrace.run(*words)
        outputs.append(answer.output)
        return answer.exit_code == 0

    await eventually(done, within=120, every=1.0)


@pytest.mark.parametrize("victim", ["monitor", "postgres"])
async def test_an_experiment_starts_and_concludes_once_whatever_is_killed(headrace: Headrace, victim: str) -> None:
    headrace.two_versions("v1")
    headrace("routes", "split", headrace.model, "control:v1=50", "new:v2=50")
    headrace("experiments", "create", headrace.model, "ranking", "--metric", "conversion", "--effect", "0.5")
    await disturbed(headrace, victim, 0.5, "experiments", "start", headrace.model, "ranking")
    (one,) = headrace("experiments", "list", headrace.model)["experiments"]
    assert (one["state"], len(one["phases"])) == ("STATE_RUNNING", 1)
    route = headrace("routes", "show", headrace.model)["route"]
    assert route["managed_by"] == "experiments/ranking"
    with Client(headrace.stack.address, token=headrace.stack.token("shop")) as client:
        answers = [client.predict(headrace.model, {"features": ROW}, user_id=f"u{n}") for n in range(USERS)]
        told = [
            Outcome(float(one.variant == "new" or number % 10 == 0), kind="conversion", prediction_id=one.prediction_id)
            for number, one in enumerate(answers)
        ]
        client.record_outcomes(headrace.model, told)
        was = parts.kill(headrace.stack, victim)
        await parts.back(headrace.stack, victim, was, within=120)

        def again() -> bool:  # delivered twice, in another order
            return sum(client.record_outcomes(headrace.model, told[::-1]).counts.values()) == USERS

        await eventually(again, within=60, every=1.0)

    def counted() -> bool:
        found = headrace.run("experiments", "analyse", headrace.model, "ranking", "--json")
        if found.exit_code:
            return False
        return f'"units": "{sum(one.variant == "new" for one in answers)}"' in found.stdout

    await eventually(counted, within=120, every=2.0)
    await disturbed(headrace, victim, 0.5, "experiments", "conclude", headrace.model, "ranking")
    (one,) = headrace("experiments", "list", headrace.model)["experiments"]
    assert (one["state"], one.get("end_reason", "") != "") == ("STATE_ENDED", True)
    route = headrace("routes", "show", headrace.model)["route"]
    assert route.get("managed_by", "") == ""
    assert [each["name"] for each in route["variants"] if each.get("weight", 0) > 0] == ["control"]
