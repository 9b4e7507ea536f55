"""A Ray cluster of KubeRay for scoring jobs: as its operator reads it, and as the scorer reaches it.

Names and types are those of KubeRay's `ray.io_rayclusters.yaml`, against which the whole was validated by hand.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
from headrace_scorer.settings import ScorerSettings

from tests.kit.deployment.kubernetes import write_variant
from tests.kit.deployment.kustomize import Id, Resources, build

_TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
_COUNT = {"type": "integer", "minimum": 0}
_TEMPLATE = {"type": "object", "required": ["spec"], "properties": {"spec": {"type": "object"}}}
_GROUP = {
    "labels": _TEXTS, "rayStartParams": _TEXTS, "resources": {"type": "object"}, "template": _TEMPLATE,
}  # fmt: skip
_HEAD = {
    **_GROUP, "enableIngress": {"type": "boolean"}, "headService": {"type": "object"},
    "ingressOptions": {"type": "object"}, "serviceType": {"type": "string"},
}  # fmt: skip
_WORKERS = {
    **_GROUP, "groupName": {"type": "string"}, "replicas": _COUNT, "minReplicas": _COUNT, "maxReplicas": _COUNT,
    "numOfHosts": _COUNT, "priority": _COUNT, "idleTimeoutSeconds": _COUNT, "suspend": {"type": "boolean"},
    "scaleStrategy": {"type": "object"},
}  # fmt: skip
SPEC = {
    "type": "object",
    "additionalProperties": False,
    "required": ["headGroupSpec"],
    "properties": {
        "rayVersion": {"type": "string"},
        "authOptions": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "mode": {"enum": ["disabled", "token"]},
                "secretName": {"type": "string"},
                "enableK8sTokenAuth": {"type": "boolean"},
            },
        },
        "enableInTreeAutoscaling": {"type": "boolean"},
        "suspend": {"type": "boolean"},
        "headGroupSpec": {
            "type": "object", "additionalProperties": False, "required": ["template"], "properties": _HEAD,
        },
        "workerGroupSpecs": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["groupName", "minReplicas", "maxReplicas", "template"],
                "properties": _WORKERS,
            },
        },
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def kuberay(tmp_path_factory: pytest.TempPathFactory) -> Resources:
    return build(write_variant(tmp_path_factory.mktemp("kuberay"), ("kuberay",)))


def groups(kuberay: Resources) -> list[Any]:
    spec = kuberay[Id("RayCluster", "scoring")]["spec"]
    return [spec["headGroupSpec"], *spec["workerGroupSpecs"]]


def test_the_cluster_is_what_its_operator_reads(kuberay: Resources):
    cluster = kuberay[Id("RayCluster", "scoring")]
    assert cluster["apiVersion"] == "ray.io/v1"
    jsonschema.validate(cluster["spec"], SPEC)


def test_the_scorer_reaches_the_head_with_the_clusters_token(kuberay: Resources):
    (container,) = kuberay[Id("Deployment", "scorer")]["spec"]["template"]["spec"]["containers"]
    told = {one["name"]: one for one in container["env"]}
    # The operator's names: a service beside the head, and a secret with the token.
    assert told["SCORER_RAY_ADDRESS"]["value"] == "ray://scoring-head-svc:10001"
    assert told["RAY_AUTH_TOKEN"]["valueFrom"]["secretKeyRef"] == {"name": "scoring", "key": "auth_token"}
    assert {"ray_address", "max_workers"} <= set(ScorerSettings.model_fields)


def test_pods_of_the_cluster_have_the_scorers_image_and_its_keys_of_s3_where_it_has_them(kuberay: Resources):
    scorer = kuberay[Id("Deployment", "scorer")]["spec"]["template"]["spec"]
    at_home = {one["name"]: one["mountPath"] for one in scorer["containers"][0]["volumeMounts"]}
    for group in groups(kuberay):
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        mounted = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
        assert mounted["s3"] == at_home["s3"]
        assert container["image"].startswith("headrace/scorer")
        assert pod["securityContext"]["runAsNonRoot"] is True


def test_pods_of_the_cluster_have_the_scorers_certificate_where_it_has_it(tmp_path: Path):
    secured = build(write_variant(tmp_path, ("mutual-tls", "kuberay")))
    scorer = secured[Id("Deployment", "scorer")]["spec"]["template"]["spec"]
    (at_home,) = (one for one in scorer["containers"][0]["volumeMounts"] if one["name"] == "tls")
    (kept,) = (one["secret"] for one in scorer["volumes"] if one["name"] == "tls")
    for group in groups(secured):
        pod = group["template"]["spec"]
        assert at_home in pod["containers"][0]["volumeMounts"]
        assert {"name": "tls", "secret": {**kept, "optional": True}} in pod["volumes"]


def test_only_the_scorer_and_the_cluster_itself_come_to_its_pods(kuberay: Resources):
    policy = kuberay[Id("NetworkPolicy", "scoring-ray")]["spec"]
    within, clients = policy["ingress"]
    labels = [rule["from"][0]["podSelector"]["matchLabels"]["app.kubernetes.io/name"] for rule in (within, clients)]
    assert labels == ["scoring-ray", "scorer"]
    assert clients["ports"] == [{"port": 10001}]


def test_actors_are_let_in_where_the_scorer_is_that_would_do_their_work(kuberay: Resources):
    policy = kuberay[Id("NetworkPolicy", "from-scoring-ray")]["spec"]
    (selected,), (rule,) = policy["podSelector"]["matchExpressions"], policy["ingress"]
    opened = {port["port"] for port in rule["ports"]}
    assert rule["from"] == [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "scoring-ray"}}}]
    for called in ("router-control", "batcher", "batcher-cpu"):
        ingress = kuberay[Id("NetworkPolicy", called)]["spec"]["ingress"]
        (own,) = (one["ports"] for one in ingress if _pod("scorer") in one["from"])
        assert called in selected["values"]
        assert {port["port"] for port in own} <= opened
    # Only where the component `stores` is too.
    assert "s3" in selected["values"]
    assert 8333 in opened


def _pod(name: str) -> dict[str, Any]:
    return {"podSelector": {"matchLabels": {"app.kubernetes.io/name": name}}}
