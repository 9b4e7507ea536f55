"""The autoscaler acts on Kubernetes with one right, or answers KEDA where that acts."""

from __future__ import annotations

import pytest
from headrace_autoscaler.decisions.workloads import workloads_of
from headrace_autoscaler.keda.servicer import POOL_KEY
from headrace_autoscaler.settings import AutoscalerSettings

from tests.kit import topology
from tests.kit.kubernetes import write_variant
from tests.kit.kustomize import Id, Resources, build

# The pools that the base has, and the Deployment of each.
POOLS = {"default": "batcher", "cpu": "batcher-cpu"}


@pytest.fixture(scope="module")
def acting(tmp_path_factory: pytest.TempPathFactory) -> Resources:
    return build(write_variant(tmp_path_factory.mktemp("autoscale"), ("autoscale",)))


@pytest.fixture(scope="module")
def keda(tmp_path_factory: pytest.TempPathFactory) -> Resources:
    return build(write_variant(tmp_path_factory.mktemp("keda"), ("keda",)))


def test_the_service_account_may_read_and_set_the_scale_of_the_batchers_and_nothing_else(acting: Resources):
    (role,) = [resource for id_, resource in acting.items() if id_.kind in ("Role", "ClusterRole")]
    assert role["rules"] == [
        {
            "apiGroups": ["apps"],
            "resources": ["deployments/scale"],
            "resourceNames": list(POOLS.values()),
            "verbs": ["get", "update"],
        }
    ]
    (binding,) = [resource for id_, resource in acting.items() if id_.kind.endswith("RoleBinding")]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "autoscaler"}]
    assert acting[Id("Deployment", "autoscaler")]["spec"]["template"]["spec"]["automountServiceAccountToken"] is True
    assert acting[Id("ConfigMap", "autoscaler")]["data"]["AUTOSCALER_ACTUATOR"] == "kubernetes"


def test_the_workloads_that_it_scales_by_default_are_those_of_the_base(acting: Resources):
    default = AutoscalerSettings.model_fields["kubernetes_workloads"].default
    assert {pool: workload.name for pool, workload in workloads_of(default).items()} == POOLS
    for name in POOLS.values():
        assert Id("Deployment", name) in acting


@pytest.mark.parametrize("variant", ["acting", "keda"])
def test_no_manifest_puts_back_what_was_scaled(variant: str, request: pytest.FixtureRequest):
    rendered: Resources = request.getfixturevalue(variant)
    for name in POOLS.values():
        assert "replicas" not in rendered[Id("Deployment", name)]["spec"]


def test_keda_asks_the_autoscaler_for_each_pool_and_is_let_through(keda: Resources):
    port = topology.services()["autoscaler"].ports["grpc"]
    scaled = {id_.name: resource["spec"] for id_, resource in keda.items() if id_.kind == "ScaledObject"}
    assert set(scaled) == set(POOLS.values())
    for pool, name in POOLS.items():
        (trigger,) = scaled[name]["triggers"]
        assert scaled[name]["scaleTargetRef"] == {"name": name}
        assert trigger["type"] == "external"
        assert trigger["metadata"] == {"scalerAddress": f"autoscaler.headrace.svc:{port}", POOL_KEY: pool}
    policy = keda[Id("NetworkPolicy", "keda-to-autoscaler")]["spec"]
    assert policy["ingress"][0]["ports"] == [{"port": port}]
