"""Reading rendered Kubernetes resources: what a workload runs, is told, mounts, and may talk to."""

from __future__ import annotations

import runpy
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from tests.kit.deployment.kustomize import Resource, Resources
from tests.kit.deployment.topology import CHECKOUT, Call, Service

FOLDER = CHECKOUT / "deploy" / "kubernetes"
NAME = "app.kubernetes.io/name"
WORKLOADS = ("Deployment", "StatefulSet", "Job")


@dataclass(frozen=True, slots=True)
class Workload:
    """A Deployment, StatefulSet or Job, whose first container is the service."""

    resource: Resource
    configs: Mapping[str, Mapping[str, str]]

    @property
    def name(self) -> str:
        return self.resource["metadata"]["name"]

    @property
    def pod(self) -> dict[str, Any]:
        return self.resource["spec"]["template"]["spec"]

    @property
    def containers(self) -> list[dict[str, Any]]:
        """Every container, those that run beside it and before it among them."""
        return [*self.pod["containers"], *self.pod.get("initContainers", [])]

    @property
    def container(self) -> dict[str, Any]:
        return self.pod["containers"][0]

    @property
    def environment(self) -> dict[str, str]:
        """What the service is told; what the cluster fills in stands as an example."""
        told: dict[str, str] = {}
        for source in self.container.get("envFrom", []):
            told.update(self.configs[source["configMapRef"]["name"]])
        for variable in self.container.get("env", []):
            told[variable["name"]] = variable.get("value", "filled-in-0")
        return told

    @property
    def ports(self) -> dict[str, int]:
        return {port["name"]: port["containerPort"] for port in self.container.get("ports", [])}

    @property
    def mounts(self) -> dict[PurePosixPath, dict[str, Any]]:
        return {PurePosixPath(mount["mountPath"]): mount for mount in self.container.get("volumeMounts", [])}

    def mount_of(self, path: PurePosixPath) -> dict[str, Any] | None:
        """Return the innermost mount that holds a path."""
        places = [place for place in self.mounts if path.is_relative_to(place)]
        return self.mounts[max(places, key=lambda place: len(place.parts))] if places else None


def workloads(resources: Resources) -> dict[str, Workload]:
    """Return every workload by name."""
    configs = {id_.name: one["data"] for id_, one in resources.items() if id_.kind == "ConfigMap" and "data" in one}
    return {id_.name: Workload(one, configs) for id_, one in resources.items() if id_.kind in WORKLOADS}


def of_kind(resources: Resources, kind: str) -> dict[str, Resource]:
    """Return the resources of one kind by name."""
    return {id_.name: one for id_, one in resources.items() if id_.kind == kind}


def let_out(policy: Resource, services: Mapping[str, Service]) -> Iterator[Call]:
    """Yield the connections that a NetworkPolicy lets its pods open."""
    caller = policy["spec"]["podSelector"]["matchLabels"][NAME]
    for rule in policy["spec"].get("egress", []):
        for peer in rule["to"]:
            callee = peer["podSelector"]["matchLabels"][NAME]
            yield from (Call(caller, callee, _port(services[callee], port["port"])) for port in rule["ports"])


def let_in(policy: Resource, services: Mapping[str, Service]) -> Iterator[Call]:
    """Yield the connections that it lets other pods of ours open to its own."""
    callee = policy["spec"]["podSelector"]["matchLabels"][NAME]
    for rule in policy["spec"].get("ingress", []):
        for peer in rule.get("from", []):
            if "podSelector" in peer:
                caller = peer["podSelector"]["matchLabels"][NAME]
                yield from (Call(caller, callee, _port(services[callee], port["port"])) for port in rule["ports"])


def open_to_all(policy: Resource) -> set[int]:
    """Return the ports that it leaves open to anybody."""
    return {
        port["port"] for rule in policy["spec"].get("ingress", []) if not rule.get("from") for port in rule["ports"]
    }


def _port(service: Service, number: int) -> str:
    (name,) = (name for name, of in service.ports.items() if of == number)
    return name


def copy_of_all(folder: Path) -> None:
    """Copy deploy/kubernetes, without the secrets that somebody may have made there."""
    shutil.copytree(FOLDER, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("secrets"))


def local_overlay(folder: Path) -> Path:
    """Return a copy of the local overlay with secrets of its own."""
    copy_of_all(folder)
    overlay = folder / "overlays" / "local"
    runpy.run_path(str(FOLDER / "make_secrets.py"))["make"](overlay / "secrets")
    return overlay


def write_variant(folder: Path, components: tuple[str, ...]) -> Path:
    """Write a kustomization of the base with components, beside a copy of both; return its folder."""
    copy_of_all(folder)
    overlay = folder / "overlays" / "variant"
    overlay.mkdir(parents=True)
    told = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": ["../../base"],
        "components": [f"../../components/{name}" for name in components],
    }
    (overlay / "kustomization.yaml").write_text(yaml.safe_dump(told), encoding="utf-8")
    return overlay
