"""Rendered Kubernetes workloads, run in Docker as a kubelet would run them: one pod of each, as far as one machine can.

What a pod is told, mounts, may do, is asked and is given to end is taken from its manifest. What is not here: several
replicas, NetworkPolicies, and the mode that a kubelet gives to volumes (here each volume is the user's own).
"""

from __future__ import annotations

import base64
import json
import os
import socket
import ssl
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from headrace_servicekit.testing import eventually

from tests.kit.deployment import kubernetes
from tests.kit.deployment.containers import docker
from tests.kit.deployment.kubernetes import Workload
from tests.kit.deployment.kustomize import Id, Resource

UNITS = {"Mi": 1024**2, "Gi": 1024**3}


@dataclass(frozen=True, slots=True)
class Pods:
    """The pods of one rendering. name: of the network, and what their names begin with. folder: for their secrets."""

    name: str
    folder: Path
    resources: Mapping[Id, Resource]

    def __enter__(self) -> Pods:
        docker("network", "create", self.name)
        for id_, resource in self.resources.items():
            if id_.kind in ("Secret", "ConfigMap"):
                self._write(id_, resource)
        return self

    def __exit__(self, *_: object) -> None:
        ours = f"label={self.name}"
        if found := docker("ps", "--all", "--quiet", "--filter", ours).split():
            docker("rm", "--force", "--volumes", *found)
        if found := docker("volume", "ls", "--quiet", "--filter", ours).split():
            docker("volume", "rm", *found)
        docker("network", "rm", self.name)

    def start(self, workload: Workload) -> None:
        """Start the one container of a workload's pod."""
        pod, container = workload.pod, workload.container
        allowed = {**pod["securityContext"], **container["securityContext"]}
        docker(
            *("run", "--detach", "--name", self._of(workload), "--hostname", f"{workload.name}-0"),
            *("--label", self.name, "--network", self.name, *self._aliases(workload)),
            *("--user", f"{allowed['runAsUser']}:{allowed['runAsGroup']}"),
            *("--read-only", "--security-opt", "no-new-privileges"),
            *(f"--cap-drop={each}" for each in allowed["capabilities"]["drop"]),
            f"--memory={_bytes(container['resources']['limits']['memory'])}",
            *(f"--env={key}={value}" for key, value in self._environment(workload).items()),
            *self._mounts(workload),
            container["image"],
            *container.get("args", []),
        )

    async def ready(self, workload: Workload, *, within: float = 180.0) -> None:
        """Return when the pod's own readiness probe passes."""
        probe = workload.container["readinessProbe"]
        await eventually(lambda: self._passes(workload, probe), within=within, every=0.5)

    async def alive(self, workload: Workload) -> None:
        """Return when its liveness probe passes."""
        await eventually(lambda: self._passes(workload, workload.container["livenessProbe"]), within=10, every=0.5)

    def stop(self, workload: Workload) -> int:
        """End a pod in the time that it gives itself; return the exit code, 137 when that was not enough."""
        docker("stop", f"--timeout={workload.pod['terminationGracePeriodSeconds']}", self._of(workload), timeout_s=120)
        return int(docker("inspect", "--format={{.State.ExitCode}}", self._of(workload)))

    def address(self, workload: Workload, port: str) -> str:
        """Return `host:port` of a pod's named port."""
        return f"{self._ip(workload)}:{workload.ports[port]}"

    def _of(self, workload: Workload) -> str:
        return f"{self.name}-{workload.name}"

    def _ip(self, workload: Workload) -> str:
        told = docker("inspect", "--format={{json .NetworkSettings.Networks}}", self._of(workload))
        (network,) = json.loads(told).values()
        return network["IPAddress"]

    def _aliases(self, workload: Workload) -> list[str]:
        services = kubernetes.of_kind(self.resources, "Service")
        chosen = (name for name, one in services.items() if one["spec"]["selector"][kubernetes.NAME] == workload.name)
        return [f"--network-alias={name}" for name in chosen]

    def _environment(self, workload: Workload) -> dict[str, str]:
        told = workload.environment
        filled = {"POD_IP": "127.0.0.1", "ROUTER_DATA_ID": f"{workload.name}-0"}
        told |= {name: value for name, value in filled.items() if name in told}
        return {name: value.replace("$(POD_IP)", filled["POD_IP"]) for name, value in told.items()}

    def _mounts(self, workload: Workload) -> list[str]:
        volumes = {volume["name"]: volume for volume in workload.pod.get("volumes", [])}
        found: list[str] = []
        for path, mount in workload.mounts.items():
            volume = volumes.get(mount["name"], {})
            if "secret" in volume or "configMap" in volume:
                found.append(f"--volume={self._written(_source(volume))}:{path}:ro")
            elif str(path) == "/dev/shm":
                found.append(f"--shm-size={_bytes(volume['emptyDir']['sizeLimit'])}")
            elif str(path) == "/tmp":
                found.append("--tmpfs=/tmp:mode=1777,exec")
            else:
                named = f"{self._of(workload)}-{mount['name']}"
                docker("volume", "create", "--label", self.name, named)
                found.append(f"--volume={named}:{path}")
        return found

    def _passes(self, workload: Workload, probe: dict[str, Any]) -> bool:
        if "exec" in probe:
            return _succeeds("exec", self._of(workload), *probe["exec"]["command"])
        how, told = next((how, probe[how]) for how in ("grpc", "httpGet", "tcpSocket") if how in probe)
        port = told["port"] if isinstance(told["port"], int) else workload.ports[told["port"]]
        address = f"{self._ip(workload)}:{port}"
        if how == "grpc":
            return _serving(address)
        if how == "httpGet":
            return _answers(f"{told.get('scheme', 'HTTP').lower()}://{address}{told['path']}")
        return _listens(address)

    def _written(self, id_: Id) -> Path:
        return self.folder / f"{id_.kind}-{id_.name}"

    def _write(self, id_: Id, resource: Resource) -> None:
        folder = self._written(id_)
        folder.mkdir(parents=True)
        for key, value in resource.get("data", {}).items():
            file = folder / key
            file.write_bytes(base64.b64decode(value) if id_.kind == "Secret" else value.encode())
            # As a kubelet mounts them: root's, and readable by the pod's group.
            os.chown(file, 0, 10001)
            file.chmod(0o440 if id_.kind == "Secret" else 0o644)
        folder.chmod(0o755)


def _source(volume: dict[str, Any]) -> Id:
    if "secret" in volume:
        return Id("Secret", volume["secret"]["secretName"])
    return Id("ConfigMap", volume["configMap"]["name"])


def _serving(address: str) -> bool:
    with grpc.insecure_channel(address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        try:
            reply = stub.Check(health_pb2.HealthCheckRequest(), timeout=1)
        except grpc.RpcError:
            return False
    return reply.status == health_pb2.HealthCheckResponse.SERVING


def _answers(url: str) -> bool:
    try:
        # As a kubelet: it looks at no certificate.
        with urllib.request.urlopen(url, timeout=2, context=ssl._create_unverified_context()) as answer:
            return answer.status == 200
    except OSError:
        return False


def _listens(address: str) -> bool:
    host, _, port = address.partition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True


def _succeeds(*command: str) -> bool:
    try:
        docker(*command, timeout_s=10)
    except AssertionError:
        return False
    return True


def _bytes(quantity: str) -> int:
    return int(quantity[:-2]) * UNITS[quantity[-2:]]
