"""The autoscaler acts on Kubernetes with one right, or answers KEDA or a Prometheus adapter where HPAs act."""

from __future__ import annotations

import pytest
import yaml
from headrace_autoscaler.decisions.workloads import workloads_of
from headrace_autoscaler.keda.servicer import POOL_KEY
from headrace_autoscaler.metrics import PoolCollector, ShownPool
from headrace_autoscaler.settings import AutoscalerSettings

from tests.kit.deployment import topology
from tests.kit.deployment.kubernetes import write_variant
from tests.kit.deployment.kustomize import Id, Resources, build
from tests.kit.deployment.topology import CHECKOUT

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


@pytest.fixture(scope="module")
def hpa(tmp_path_factory: pytest.TempPathFactory) -> Resources:
    return build(write_variant(tmp_path_factory.mktemp("hpa"), ("hpa",)))


@pytest.mark.parametrize("variant", ["acting", "keda", "hpa"])
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


def test_each_hpa_wants_as_many_replicas_as_the_metric_of_its_pool_says_through_the_adapters_rule(hpa: Resources):
    shown = ShownPool("default", 7, {}, frozenset(), {})
    (metric,) = [one for one in PoolCollector(lambda: [shown], lambda: None).collect() if "desired" in one.name]
    (sample,) = metric.samples
    assert (sample.labels, sample.value) == ({"pool": "default"}, 7)
    scalers = {id_.name: resource["spec"] for id_, resource in hpa.items() if id_.kind == "HorizontalPodAutoscaler"}
    assert set(scalers) == set(POOLS.values())
    for pool, name in POOLS.items():
        assert scalers[name]["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
        (asked,) = scalers[name]["metrics"]
        assert asked["external"] == {
            "metric": {"name": sample.name, "selector": {"matchLabels": {"pool": pool}}},
            "target": {"type": "AverageValue", "averageValue": "1"},
        }
    adapter = CHECKOUT / "deploy" / "observability" / "prometheus" / "adapter.yml"
    (rule,) = yaml.safe_load(adapter.read_text(encoding="utf-8"))["externalRules"]
    assert rule["seriesQuery"] == f'{sample.name}{{pool!=""}}'
    assert rule["resources"] == {"namespaced": False}
    assert rule["metricsQuery"] == "max(<<.Series>>{<<.LabelMatchers>>}) by (pool)"
