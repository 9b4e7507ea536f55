"""The `scale` subresource of a workload, by Kubernetes' API: the one thing that the service account may change.

Three requests of plain HTTPS, by httpx: the official client would bring two hundred generated modules for them.
"""

from __future__ import annotations

import ssl
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from headrace_autoscaler.actuators.actuator import ActuatorError
from headrace_autoscaler.decisions.workloads import WorkloadName

_TIMEOUT_S = 5.0
_TRIES = 3
_OF_ONE_WORKLOAD = (httpx.codes.FORBIDDEN, httpx.codes.NOT_FOUND)


class KubernetesActuator:
    """Sets `spec.replicas`. A pod is drained by its SIGTERM; Kubernetes chooses which goes, those not ready first.

    token: file of the service account's token, read for each request, for it is renewed.
    """

    name = "kubernetes"
    acts = True

    def __init__(
        self,
        client: httpx.AsyncClient,
        namespace: str,
        workloads: Mapping[str, WorkloadName],
        token: Path | None,
    ) -> None:
        self._client, self._namespace, self._workloads, self._token = client, namespace, workloads, token

    async def targets(self, pools: Collection[str]) -> Mapping[str, int | ActuatorError]:
        found: dict[str, int | ActuatorError] = {}
        for pool in pools:
            if (workload := self._workloads.get(pool)) is not None:
                try:
                    found[pool] = _replicas(await self._ask("GET", workload))
                except _WorkloadError as error:
                    found[pool] = error
        return found

    async def scale(self, pool: str, replicas: int, first: Sequence[str]) -> None:
        workload = self._workloads[pool]
        for attempt in range(1, _TRIES + 1):
            scale = await self._ask("GET", workload)
            if _replicas(scale) == replicas:
                return
            # With its resourceVersion: of two writers, one is refused and looks again.
            scale["spec"] = {**(scale.get("spec") or {}), "replicas": replicas}
            try:
                answer = await self._ask("PUT", workload, scale)
            except _ConflictError:
                if attempt == _TRIES:
                    raise
                continue
            if _replicas(answer) != replicas:
                raise ActuatorError(f"Kubernetes answered {_replicas(answer)} replicas instead of {replicas}")
            return

    async def _ask(self, method: str, workload: WorkloadName, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        path = f"/apis/apps/v1/namespaces/{self._namespace}/{workload.kind}/{workload.name}/scale"
        try:
            headers = {} if self._token is None else {"Authorization": f"Bearer {self._token.read_text().strip()}"}
            answer = await self._client.request(method, path, json=body, headers=headers, timeout=_TIMEOUT_S)
            document = answer.json()
        except (httpx.HTTPError, OSError, ValueError) as error:
            problem = str(error) or type(error).__name__
            raise ActuatorError(f"Kubernetes cannot be asked for {workload.kind}/{workload.name}: {problem}") from None
        said = document.get("message", "") if isinstance(document, dict) else ""
        if answer.status_code == httpx.codes.CONFLICT:
            raise _ConflictError(f"Kubernetes refused: {said}")
        if answer.status_code != httpx.codes.OK or not isinstance(document, dict) or document.get("kind") != "Scale":
            kind = _WorkloadError if answer.status_code in _OF_ONE_WORKLOAD else ActuatorError
            raise kind(f"Kubernetes answered {answer.status_code} for {path}: {said or 'no Scale'}")
        return document


class _ConflictError(ActuatorError):
    """The workload changed since it was read."""


class _WorkloadError(ActuatorError):
    """The workload is not there, or the service account may not touch it: others may be well."""


def _replicas(scale: Mapping[str, Any]) -> int:
    """Return `spec.replicas`, which is left out when it is 0. Raises ActuatorError."""
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    if not isinstance(replicas, int):
        raise ActuatorError(f"Kubernetes says replicas={replicas!r}")
    return replicas


def client_of(url: str, ca: Path | None) -> httpx.AsyncClient:
    """Return a client of an API server. ca: of the cluster. Raises OSError for a file that cannot be read."""
    verify: ssl.SSLContext | bool = True if ca is None else ssl.create_default_context(cafile=str(ca))
    return httpx.AsyncClient(base_url=url, verify=verify, follow_redirects=False)
