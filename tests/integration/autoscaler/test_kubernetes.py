"""The actuator of Kubernetes over HTTP: reads and writes of `scale`, and everything that its server may refuse."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from headrace_autoscaler.actuators.actuator import ActuatorError
from headrace_autoscaler.actuators.kubernetes import KubernetesActuator, client_of
from headrace_autoscaler.decisions.workloads import WorkloadName, workloads_of
from headrace_servicekit.testing import free_port

from tests.kit.autoscaler.fake_kubernetes import TOKEN, FakeKubernetes, serving_kubernetes

WORKLOADS = workloads_of("default=deployment/batcher; cpu=deployment/batcher-cpu; gone=statefulset/batcher-gone")


@pytest.fixture
def cluster() -> FakeKubernetes:
    return FakeKubernetes(batcher=1, batcher_cpu=0)


@pytest.fixture
def url(cluster: FakeKubernetes) -> Iterator[str]:
    with serving_kubernetes(cluster) as url:
        yield url


@pytest.fixture
async def actuator(url: str, tmp_path: Path) -> AsyncIterator[KubernetesActuator]:
    token = tmp_path / "token"
    token.write_text(f"{TOKEN}\n")
    async with client_of(url, None) as client:
        yield KubernetesActuator(client, "headrace", WORKLOADS, token)


async def test_a_pool_is_scaled_by_the_scale_of_its_workload_and_nothing_else(
    actuator: KubernetesActuator, cluster: FakeKubernetes
):
    assert await actuator.targets(["default", "cpu", "of-nobody"]) == {"default": 1, "cpu": 0}
    await actuator.scale("default", 3, [])
    await actuator.scale("default", 3, [])
    await actuator.scale("cpu", 2, [])
    await actuator.scale("cpu", 0, [])
    assert await actuator.targets(["default", "cpu"]) == {"default": 3, "cpu": 0}
    assert {path.rpartition("/")[2] for path in cluster.asked} == {"scale"}
    assert sum(asked.startswith("PUT") for asked in cluster.asked) == 3


async def test_of_two_writers_one_looks_again(actuator: KubernetesActuator, cluster: FakeKubernetes):
    cluster.conflicts = 2
    await actuator.scale("default", 4, [])
    assert cluster.workloads[("deployments", "batcher")] == 4
    cluster.conflicts = 9
    with pytest.raises(ActuatorError, match="modified"):
        await actuator.scale("default", 5, [])


async def test_what_the_server_refuses_is_said(actuator: KubernetesActuator, cluster: FakeKubernetes):
    found = await actuator.targets(["gone", "default"])
    assert found["default"] == 1, "one workload that is gone says nothing of another"
    with pytest.raises(ActuatorError, match="not found"):
        raise_if_unknown(found["gone"])
    cluster.forbidden = True
    with pytest.raises(ActuatorError, match=r"403.*may not GET"):
        raise_if_unknown((await actuator.targets(["default"]))["default"])
    with pytest.raises(ActuatorError, match=r"403.*may not GET"):
        await actuator.scale("default", 2, [])


def raise_if_unknown(target: int | ActuatorError) -> None:
    if isinstance(target, ActuatorError):
        raise target


async def test_a_token_is_read_again_for_each_request_and_a_server_that_is_away_is_said(
    actuator: KubernetesActuator, tmp_path: Path
):
    (tmp_path / "token").write_text("expired")
    with pytest.raises(ActuatorError, match="Unauthorized"):
        await actuator.targets(["default"])
    (tmp_path / "token").write_text(TOKEN)
    assert await actuator.targets(["default"]) == {"default": 1}
    async with client_of(f"http://127.0.0.1:{free_port()}", None) as client:
        away = KubernetesActuator(client, "headrace", WORKLOADS, tmp_path / "token")
        with pytest.raises(ActuatorError, match="cannot be asked"):
            await away.scale("default", 2, [])


@pytest.mark.parametrize(
    "text", ["default", "default=batcher", "default=pod/batcher", "=deployment/x", "a=deployment/"]
)
def test_a_workload_that_cannot_be_read_is_refused(text: str):
    with pytest.raises(ValueError, match="is not pool="):
        workloads_of(text)
    assert workloads_of("") == {}
    assert WORKLOADS["default"] == WorkloadName("deployments", "batcher")
