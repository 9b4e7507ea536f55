"""Compose and Kubernetes tell a service the same, and run the same images."""

from __future__ import annotations

import pytest

from tests.kit.deployment import compose_file, kubernetes, topology
from tests.kit.deployment.kustomize import Resources

COMPOSE = compose_file.read(topology.CHECKOUT / "docker-compose.yml")["services"]
OWN = [name for name, service in topology.services().items() if not service.store]
# What differs, and why.
DIFFERENT = {
    # Compose's one volume for all replicas has a folder for each; a pod has a volume of its own.
    "BATCHER_STATE_DIR",
    # Compose has one front door, on whose network alone it listens; in Kubernetes policies keep others away.
    "ROUTER_DATA_HOST",
    "FRONT_DOOR_METRICS_HOST",
    "FRONT_DOOR_ROUTER_DATA",
    "FRONT_DOOR_ROUTER_REST",
}
ONLY_COMPOSE = {
    "REGISTRY_UPLOAD_DIR",  # /tmp in Kubernetes, which has room there
    "ROUTER_DATA_RESOLVE_EVERY_S",  # `--scale` is noticed at once
    "FRONT_DOOR_CORS_ORIGINS",  # to be set from outside
    "MONITOR_WEBHOOK_ALLOW",  # likewise
    "CONSOLE_OIDC_ISSUER",  # likewise
    "SCORER_BUCKETS",  # likewise
    "SCORER_RAY_ADDRESS",  # likewise
    "AUTOSCALER_ACTUATOR",  # a component sets it in Kubernetes
    "AUTOSCALER_DOCKER_PROJECT",  # there is no Docker
    "AUTOSCALER_DOCKER_SOCKET",
    *(f"{prefix}{name}" for prefix in topology.prefixes() for name in ("S3_REGION", "LOG_LEVEL")),
}
ONLY_KUBERNETES = {
    "POD_IP",
    "BATCHER_ADVERTISE_ADDRESS",  # a pod's name is no address
    "ROUTER_DATA_ID",  # of several front doors each has its own
    "FRONT_DOOR_PROCESSES",
}


def in_compose(name: str) -> dict[str, str]:
    """Return what Compose tells a service when nothing is set from outside."""
    told = compose_file.environment(COMPOSE[name])
    return {key: compose_file.filled(value) for key, value in told.items()}


@pytest.mark.parametrize("variant_folder", ["local"], indirect=True)
@pytest.mark.parametrize("name", OWN)
def test_a_service_is_told_the_same(rendered: Resources, name: str):
    compose, pods = in_compose(name), kubernetes.workloads(rendered)[name].environment
    assert compose.keys() - pods.keys() <= ONLY_COMPOSE
    assert pods.keys() - compose.keys() <= ONLY_KUBERNETES
    same = (compose.keys() & pods.keys()) - DIFFERENT - {"FRONT_DOOR_PROCESSES"}
    assert {key: compose[key] for key in same} == {key: pods[key] for key in same}


@pytest.mark.parametrize("variant_folder", ["local"], indirect=True)
@pytest.mark.parametrize("name", topology.services())
def test_a_service_is_the_same_image(rendered: Resources, name: str):
    built = compose_file.filled(COMPOSE[name]["image"])
    assert kubernetes.workloads(rendered)[name].container["image"] == built


@pytest.mark.parametrize("variant_folder", ["gpu"], indirect=True)
def test_the_pair_of_a_gpu_is_the_same(rendered: Resources):
    batcher = kubernetes.workloads(rendered)["batcher"]
    images = [compose_file.filled(COMPOSE[name]["image"]) for name in ("batcher-gpu", "triton-gpu")]
    assert [container["image"] for container in batcher.containers] == images
