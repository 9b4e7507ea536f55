"""The pods of deploy/kubernetes/overlays/local, run by their manifests with the images that Compose builds."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from headrace_client import AsyncClient
from headrace_client.issuer import DevelopmentIssuer

from tests.kit.deployment import kubernetes, topology
from tests.kit.deployment.kubernetes import local_overlay, write_variant
from tests.kit.deployment.kustomize import Id, Resource, Resources, build
from tests.kit.deployment.pods import Pods
from tests.kit.models import onnx_models
from tests.kit.stack.operator import METRICS
from tests.kit.wire.certificates import Authority, Pem
from tests.kit.wire.forwarder import Forwarder

ORDER = topology.in_order()
ROW = {"features": np.zeros((1, 4), np.float32)}


# Every name that each service's certificate is for, as docs/operations.md says.
NAMES: dict[str, tuple[str, ...]] = {
    name: tuple(dict.fromkeys((name, *topology.services()[name].hosts.values()))) for name in topology.own()
}


def plain(folder: Path) -> Resources:
    """Return the local overlay as it is."""
    return build(local_overlay(folder / "local"))


def with_tls(folder: Path) -> Resources:
    """Return the same with TLS towards callers, and certificates on both sides between services."""
    local = build(local_overlay(folder / "local"))
    secrets = {id_: one for id_, one in local.items() if id_.kind == "Secret" or id_ == Id("ConfigMap", "identity")}
    authority = Authority(folder)
    shown = {f"{name}-tls": authority.issue(name, hosts=hosts) for name, hosts in NAMES.items()}
    secrets |= {Id("Secret", name): _secret(name, pem, authority) for name, pem in shown.items()}
    secrets[Id("Secret", "front-door")] = _secret("front-door", authority.issue("door"), authority)
    return {**build(write_variant(folder / "tls", ("stores", "mutual-tls", "tls"))), **secrets}


def _secret(name: str, pem: Pem, authority: Authority) -> Resource:
    files = {"tls.crt": pem.cert, "tls.key": pem.key, "ca.crt": authority.ca}
    data = {key: base64.b64encode(path.read_bytes()).decode() for key, path in files.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}


@pytest.mark.parametrize("rendering", [plain, with_tls], ids=lambda one: one.__name__)
async def test_pods_become_ready_answer_and_end_in_their_time(
    images: dict[str, str], tmp_path: Path, rendering: Callable[[Path], Resources]
):
    # Else a user of a container may not pass through the test's folder.
    for folder in (tmp_path, *list(tmp_path.parents)[:2]):
        folder.chmod(0o755)
    with Pods(f"headrace-pods-{os.getpid()}", tmp_path / "mounted", rendering(tmp_path)) as pods:
        workloads = kubernetes.workloads(pods.resources)
        assert set(workloads) == set(ORDER)
        # All at once, as a cluster starts them: each waits for what it needs.
        for workload in workloads.values():
            pods.start(workload)
        for name in ORDER:
            await pods.ready(workloads[name])
            await pods.alive(workloads[name])
        await _serves_a_model(pods, tmp_path, tls=rendering is with_tls)
        for name in reversed([name for name in ORDER if name not in ("postgres", "valkey", "s3")]):
            assert pods.stop(workloads[name]) == 0, name


async def _serves_a_model(pods: Pods, folder: Path, *, tls: bool) -> None:
    issuer = DevelopmentIssuer(folder / "local" / "overlays" / "local" / "secrets" / "issuer")
    token = issuer.mint(subject="operator", now=datetime.now(UTC))
    path = folder / "v1.onnx"
    path.write_bytes(onnx_models.linear().content)
    host, _, port = pods.address(kubernetes.workloads(pods.resources)["front-door"], "http").partition(":")
    # Its certificate is for loopback, and only there the client speaks without one.
    async with (
        Forwarder(host, int(port)) as forwarder,
        AsyncClient(f"127.0.0.1:{forwarder.port}", token=token, ca=folder / "ca.crt" if tls else None) as client,
    ):
        await client.versions.register("pods", "v1", path, contract=onnx_models.linear().contract, metrics=METRICS)
        promoted = await client.models.promote("pods", "v1")
        status = await client.routes.await_epoch("pods", promoted.model.epoch, timeout=120)
        assert list(status.unacknowledged_data_planes) == []
        answer = await client.predict("pods", ROW, timeout=10)
        assert (answer.version, answer.served_from) == ("v1", "online")
