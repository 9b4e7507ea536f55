"""What asks for a freeze: alerts from the monitor's own AlertService, and experiments that it runs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from headrace.monitor.v1 import alert_pb2, experiment_pb2, experiment_pb2_grpc
from headrace_rollout.alerts import FreezeAlerts
from headrace_servicekit import client
from headrace_servicekit.clock import SystemClock
from headrace_servicekit.testing import eventually
from headrace_statistics.severity import Severity

from tests.kit.monitor.alerting import alerting
from tests.kit.monitor.service import real_monitor
from tests.kit.registry.service import memory_registry


async def test_an_alert_with_freeze_is_known_until_it_is_over(postgres_url: str):
    async with alerting(postgres_url) as alerts:
        target = alerts.runtime.servers[0].address
        async with client.channel(target, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
            freezing = FreezeAlerts(channel, SystemClock())
            following = asyncio.create_task(freezing.run())
            try:
                await alerts.put_rule("stop", model="fraud", signal="drift", at_least=4, freeze=True)
                await alerts.put_rule("tell", model="calm", signal="drift", at_least=4)
                found = [alerts.looked(0, Severity.HIGH, model=model) for model in ("fraud", "calm")]
                await alerts.observe(*found)
                await eventually(lambda: freezing.of("fraud"), within=20)
                assert freezing.of("fraud")[0].startswith("stop: ")
                assert freezing.of("fraud", signal="drift") == freezing.of("fraud")
                assert freezing.of("fraud", signal="error_rate") == ()
                assert freezing.of("calm") == ()
                (one,) = [one for one in await alerts.alerts() if one.model == "fraud" and one.freeze]
                await alerts.stub.ResolveAlert(alert_pb2.ResolveAlertRequest(name=one.name), timeout=10)
                await eventually(lambda: freezing.of("fraud") == (), within=20)
            finally:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)


@pytest.mark.long
async def test_an_experiment_freezes_the_rollouts_of_its_model_for_as_long_as_it_runs(
    postgres_url: str, s3: Any, tmp_path: Path
):
    name = "models/shop/experiments/ranking"
    async with (
        memory_registry() as registry,
        real_monitor(postgres_url, s3, tmp_path, registry=registry.target, query_dir=tmp_path) as monitor,
    ):
        experiments: Any = experiment_pb2_grpc.ExperimentServiceStub(monitor.channel)
        freezing = FreezeAlerts(monitor.channel, SystemClock())
        following = asyncio.create_task(freezing.watch_experiments())
        try:
            made = experiment_pb2.Experiment(
                name=name,
                variants=[{"name": "control", "weight": 1}, {"name": "new", "weight": 1}],  # pyright: ignore
                metrics=[{"name": "conversion", "relative_effect": 0.5}],  # pyright: ignore
            )
            create = experiment_pb2.CreateExperimentRequest(parent="models/shop", experiment=made)
            await experiments.CreateExperiment(create, timeout=10)
            assert freezing.experiment("shop") == ""
            await experiments.StartExperiment(experiment_pb2.StartExperimentRequest(name=name), timeout=10)
            await eventually(lambda: freezing.experiment("shop") == name, within=20)
            assert freezing.experiment("digits") == ""
            ended = experiment_pb2.EndExperimentRequest(name=name, reason="enough")
            await experiments.EndExperiment(ended, timeout=10)
            await eventually(lambda: freezing.experiment("shop") == "", within=20)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
