"""A rollout that starts under an open alert with `freeze`: its first step waits, and its end leaves nothing behind."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import timedelta

import numpy as np
import pytest
from headrace_client import Client
from headrace_client.errors import HeadraceError
from headrace_servicekit.testing import eventually

from tests.kit.clients.headrace_cli import GOOD, Headrace
from tests.kit.models import onnx_models

# What a minute was like is known when it is over: most of the time is waiting for the end of two of them.
pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]
MINUTE_S = 150.0
# A version takes a tenth of a second: who cannot wait so long is refused.
HURRIED_S, PATIENT_S = 0.04, 20.0
POLICY = "strategy: rolling\nsteps:\n  - {percent: 50, dwell: 1s}\n  - {percent: 100, dwell: 1s}\n"


@pytest.fixture
def rule(headrace: Headrace) -> Iterator[str]:
    """A rule that freezes rollouts of a model of two equal versions while a fifth of its requests fail."""
    for version, entries in (("v1", 8), ("v2", 9)):
        file = headrace.file(f"{version}.onnx", onnx_models.slow_table(500, entries))
        headrace("models", "register", headrace.model, version, file, *GOOD)
    headrace("models", "gates", headrace.model, "--none")
    headrace("models", "promote", headrace.model, "v1")
    name = f"freeze-{uuid.uuid4().hex[:8]}"
    put = ("monitor", "alerts", "put-rule", name, "--model", headrace.model, "--signal", "error_rate")
    headrace(*put, "--above", "0.2", "--window", "60s", "--freeze")
    yield name
    headrace("monitor", "alerts", "delete-rule", name)


def answered_by(client: Client, model: str, within_s: float) -> str:
    """Return the version that answers, empty for an error."""
    index = {"index": np.array([3], np.int64)}
    try:
        return client.predict(model, index, max_age=timedelta(), timeout=within_s).version
    except HeadraceError:
        return ""


async def test_a_rollout_waits_for_an_alert_goes_on_when_it_resolves_and_holds_nothing_at_its_end(
    headrace: Headrace, rule: str
):
    model, policy = headrace.model, headrace.folder / "rollout.yaml"
    policy.write_text(POLICY)

    def states() -> list[str]:
        listed = headrace("monitor", "alerts", "list", "--model", model)["alerts"]
        return [one["state"] for one in listed if one["rule"].endswith(rule)]

    with Client(headrace.stack.address, token=headrace.stack.token("shop")) as client:

        def asked(*within_s: float) -> list[str]:
            return [answered_by(client, model, one) for one in within_s]

        def alerted() -> bool:
            asked(PATIENT_S, HURRIED_S, HURRIED_S)
            return states() == ["STATE_OPEN"]

        await eventually(alerted, within=MINUTE_S, every=0.5)
        plan = ("rollouts", "plan", model, "v2", "--policy", str(policy))
        await eventually(lambda: rule in headrace(*plan).get("kept_back", ""), within=30, every=0.5)
        started = headrace("rollouts", "start", model, "v2", "--policy", str(policy))["name"]
        short = f"{model}/{started.rpartition('/')[2]}"

        def held() -> bool:
            found = headrace("rollouts", "watch", short, "--for", "1s")
            return found["state"] == "STATE_PREPARING" and rule in found.get("frozen", "")

        await eventually(held, within=60, every=0.5)
        assert {*asked(*[PATIENT_S] * 20)} == {"v1"}

        def resolved() -> bool:
            asked(PATIENT_S)
            return "STATE_OPEN" not in states()

        await eventually(resolved, within=MINUTE_S, every=0.5)
        over = headrace("rollouts", "watch", short)
        # Nothing is between its end and this: no hold that is still to be released.
        promoted = headrace("models", "promote", model, "v1")
        assert promoted["serving"] is True
        assert over["state"] == "STATE_SUCCEEDED"
        events = [one["type"] for one in reversed(headrace("rollouts", "history", short)["events"])]
        assert events == ["started", "frozen", "thawed", "step", "step", "promoting", "succeeded"]
        assert {*asked(*[PATIENT_S] * 20)} == {"v1"}
