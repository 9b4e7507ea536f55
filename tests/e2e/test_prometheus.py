"""A real Prometheus with the shipped rules reads a running stack: what it shows, and what it wakes people for."""

from __future__ import annotations

import asyncio
import subprocess
from datetime import timedelta
from pathlib import Path

import httpx
import numpy as np
import pytest
from headrace_client import HeadraceError
from headrace_servicekit.testing import eventually
from headrace_stack import debian_programs

from tests.kit.deployment import observability, prometheus, topology
from tests.kit.deployment.topology import CHECKOUT
from tests.kit.rows import each
from tests.kit.stack import processes
from tests.kit.stack.running import RunningStack
from tests.kit.stack.served_models import LINEAR, ROW, Served

pytestmark = [prometheus.needs_prometheus, pytest.mark.timeout(240)]

# Nothing has a value before it happens: no graphics card, nobody refused, nothing degraded, no alert, no look at drift.
HAPPENS = (
    "nv_gpu_",
    "batcher_requests_shed_total",
    "batcher_requests_failed_total",
    "headrace_router_degraded_answers_total",
    "registry_rollbacks_total",
    "monitor_alerts_open",
    "monitor_drift_evaluations_total",
)
PANELS = [(where, asked) for where, asked in observability.panels() if not any(metric in asked for metric in HAPPENS)]


def some_of_everything(served: Served) -> None:
    """Ask for predictions that are computed, kept and refused, and for something that is not there."""
    served.client.predict(LINEAR, {"features": ROW}, max_age=timedelta(0))
    for _ in range(3):
        served.client.predict(LINEAR, {"features": ROW})
    with pytest.raises(HeadraceError):
        served.client.predict(LINEAR, {"features": np.ones((1, 3), np.float32)})
    with pytest.raises(HeadraceError):
        served.client.models.get("nobody-has-registered-this")


async def test_panels_show_what_happens_and_no_rule_fails(served: Served, tmp_path: Path):
    async with prometheus.reading(served.stack.settings.ports, tmp_path) as asking:

        async def nothing_is_empty() -> bool:
            await asyncio.to_thread(some_of_everything, served)
            assert [where for where, asked in PANELS if not await asking.query(asked)] == []
            return True

        async def all_are_up() -> bool:
            return set(map(tuple, (await asking.up()).values())) == {("up",)}

        await eventually(nothing_is_empty, within=90, every=1)
        await eventually(all_are_up, within=30, every=0.5)
        # A question that Prometheus refuses is an AssertionError too.
        for _, asked in observability.panels():
            await asking.query(asked)
        assert await asking.rules() == dict.fromkeys(observability.rules(), "ok")


@each("service", list(topology.own()))
def test_promtool_finds_nothing_in_the_metrics_of_a_service(served: Served, service: str):
    """Those of Envoy and Triton are theirs."""
    some_of_everything(served)
    at = prometheus.targets(served.stack.settings.ports)[service].address
    told = httpx.get(f"http://{at}/metrics", trust_env=False, timeout=30).text
    assert "# HELP " in told
    command = [str(debian_programs.find(CHECKOUT, "promtool")), "check", "metrics"]
    done = subprocess.run(command, input=told, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


@pytest.mark.faults
async def test_a_service_that_is_away_wakes_somebody_until_it_is_back(own_stack: RunningStack, tmp_path: Path):
    async with prometheus.reading(own_stack.settings.ports, tmp_path) as asking:

        async def calls_for_the_monitor() -> list[str]:
            # On a busy machine others may answer late.
            alerts = (await asking.alerts()).get("HeadraceServiceAway", [])
            return [alert["severity"] for alert in alerts if alert["job"] == "monitor"]

        async def it_is_read() -> bool:
            return (await asking.up()).get("monitor") == ["up"] and not await calls_for_the_monitor()

        async def somebody_is_woken() -> bool:
            return await calls_for_the_monitor() == ["page"]

        await eventually(it_is_read, within=60, every=0.5)
        with processes.frozen(own_stack, "monitor"):
            await eventually(somebody_is_woken, within=60, every=0.5)
        await eventually(it_is_read, within=60, every=0.5)
