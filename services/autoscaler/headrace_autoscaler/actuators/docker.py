"""Actuator for the containers of a Compose project, by Docker's Engine API: it starts and stops existing containers.

Their number is the maximum of a pool: `docker compose up --scale batcher=4`. It creates none, since the right to create
a container includes mounting the host's files; a filter before Docker's socket rejects such calls
(deploy/envoy/docker_filter.py).
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx

from headrace_autoscaler.actuators.actuator import ActuatorError

API = "/v1.41"
# As Compose does; above what a batcher takes to drain.
STOP_GRACE_S = 90
_LIST_S = 10.0
_PROJECT, _SERVICE = "com.docker.compose.project", "com.docker.compose.service"
# What Docker restarts by itself counts as kept up.
_KEPT = frozenset({"running", "restarting"})
_DONE = frozenset({httpx.codes.NO_CONTENT, httpx.codes.NOT_MODIFIED})


@dataclass(frozen=True, slots=True)
class Container:
    """One container of a pool. addresses: its hosts on every network."""

    name: str
    number: int
    kept: bool
    addresses: frozenset[str]


class DockerActuator:
    """Starts and stops containers. A batcher is drained by the SIGTERM of its stop.

    services: of the project, by pool. change_s: how long a start or a stop may take.
    """

    name = "docker"
    acts = True

    def __init__(self, client: httpx.AsyncClient, project: str, services: Mapping[str, str], *, change_s: float):
        self._client, self._project, self._services, self._change_s = client, project, services, change_s

    async def targets(self, pools: Collection[str]) -> Mapping[str, int | ActuatorError]:
        found = await self._containers()
        return {pool: sum(one.kept for one in found[pool]) for pool in pools if found.get(pool)}

    async def scale(self, pool: str, replicas: int, first: Sequence[str]) -> None:
        containers = (await self._containers()).get(pool, [])
        if replicas > len(containers):
            service = self._services.get(pool, "?")
            raise ActuatorError(
                f"project {self._project} has {len(containers)} containers of {service}, not {replicas}: "
                f"`docker compose up --scale {service}={replicas}` makes them"
            )
        running = [one for one in containers if one.kept]
        for one in [one for one in containers if not one.kept][: max(replicas - len(running), 0)]:
            await self._change(one, "start")
        for one in leaving(running, first)[: max(len(running) - replicas, 0)]:
            await self._change(one, f"stop?t={STOP_GRACE_S}")

    async def _containers(self) -> dict[str, list[Container]]:
        """Return the containers by pool, in the order of their numbers."""
        label = {"label": [f"{_PROJECT}={self._project}"]}
        query = urlencode({"all": "true", "filters": json.dumps(label, separators=(",", ":"))})
        answer = await self._ask("GET", f"/containers/json?{query}", _LIST_S)
        if answer.status_code != httpx.codes.OK:
            raise ActuatorError(f"Docker answered {answer.status_code} for its containers: {_said(answer)}")
        pools = {service: pool for pool, service in self._services.items()}
        found: dict[str, list[Container]] = {}
        try:
            for one in answer.json():
                pool = pools.get(one["Labels"].get(_SERVICE, ""))
                if pool is not None and (container := container_of(one)) is not None:
                    found.setdefault(pool, []).append(container)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ActuatorError(f"Docker's list of containers cannot be read: {error!r}") from None
        return {pool: sorted(listed, key=lambda one: one.number) for pool, listed in found.items()}

    async def _change(self, container: Container, what: str) -> None:
        answer = await self._ask("POST", f"/containers/{container.name}/{what}", self._change_s)
        if answer.status_code not in _DONE:
            verb = what.partition("?")[0]
            raise ActuatorError(f"Docker did not {verb} {container.name}: {answer.status_code} {_said(answer)}")

    async def _ask(self, method: str, path: str, within_s: float) -> httpx.Response:
        try:
            return await self._client.request(method, f"{API}{path}", timeout=within_s)
        except (httpx.HTTPError, OSError) as error:
            raise ActuatorError(f"Docker cannot be asked: {str(error) or type(error).__name__}") from None


def container_of(listed: Mapping[str, Any]) -> Container | None:
    """Return a container as Docker lists it; None for one that Compose did not number, such as of `compose run`."""
    (name,) = [each.removeprefix("/") for each in listed["Names"] if "/" not in each.removeprefix("/")]
    numbered = re.fullmatch(r".*-(\d{1,6})", name)
    if numbered is None:
        return None
    networks = (listed.get("NetworkSettings") or {}).get("Networks") or {}
    hosts = [name, listed["Id"][:12], *(each.get("IPAddress") or "" for each in networks.values())]
    return Container(name, int(numbered[1]), listed["State"] in _KEPT, frozenset(filter(None, hosts)))


def leaving(containers: Sequence[Container], first: Sequence[str]) -> list[Container]:
    """Return containers in the order of removal: by their place in `first` (addresses), then the newest."""
    order = {address.rpartition(":")[0] or address: at for at, address in enumerate(first)}

    def key(one: Container) -> tuple[int, int]:
        return min((order[host] for host in one.addresses if host in order), default=len(order)), -one.number

    return sorted(containers, key=key)


def client_of(socket: str) -> httpx.AsyncClient:
    """Return a client of the Engine API on a UNIX socket."""
    return httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=socket), base_url="http://docker")


def _said(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:200]
