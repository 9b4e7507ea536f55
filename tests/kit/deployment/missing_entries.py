"""What a service that stands in deploy/topology.toml still lacks in handwritten files: which file, and what to add."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from headrace_stack.description import Service

from tests.kit.deployment import compose_file


def lacking(checkout: Path, service: Service) -> list[str]:
    """Return a sentence for each thing that is missing."""
    return [*_compose(checkout, service), *_kubernetes(checkout, service), *_documents(checkout, service)]


def _compose(checkout: Path, service: Service) -> Iterator[str]:
    path = checkout / "docker-compose.yml"
    told = compose_file.read(path)["services"]
    name = service.name
    if name not in told:
        parts = f"image headrace/{name}, networks: *{name}-networks, its environment and its limits"
        yield f"docker-compose.yml: add the service `{name}` with {parts}"
    if service.database and f"init-{service.database}" not in told:
        yield f"docker-compose.yml: add the one-shot `init-{service.database}`, which runs `{name} migrate`"


def _kubernetes(checkout: Path, service: Service) -> Iterator[str]:
    base = checkout / "deploy" / "kubernetes" / "base"
    if not (base / f"{service.name}.yaml").exists():
        kinds = "Deployment, Service, ServiceAccount and PodDisruptionBudget"
        yield f"deploy/kubernetes/base/{service.name}.yaml: add it, with {kinds}"
    if not (base / "config" / f"{service.name}.env").exists():
        yield f"deploy/kubernetes/base/config/{service.name}.env: add it, with what the service is told"


def _documents(checkout: Path, service: Service) -> Iterator[str]:
    page = (checkout / "docs" / "operations.md").read_text(encoding="utf-8")
    outages = page.partition("## What each outage does")[2].partition("\n## ")[0]
    words = service.name.replace("router-", "").replace("batcher-cpu", "batcher").replace("-", " ")
    if not re.search(rf"\b{words}", outages, re.IGNORECASE):
        yield f"docs/operations.md: add a row on {service.name} to `What each outage does`, which names its test"
