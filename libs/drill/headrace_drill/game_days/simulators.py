"""The simulators in front of a pool's backends: faults are set and cleared on all of them alike."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

from headrace_client.errors import HeadraceError, NotFound, PreconditionFailed, Unavailable, invalid
from headrace_client.local_stack import LocalStack

_TIMEOUT_S = 5.0
_MAX_BYTES = 1024 * 1024


def local_simulators(stack: LocalStack | None, pool: str) -> tuple[str, ...]:
    """Return the control interfaces of a pool's simulators in the local stack. Raises InvalidArgument for none."""
    status = {} if stack is None else stack.status()
    pools = status.get("replicas", {}).get("pools", ())
    if any(one["name"] == pool and one["backend"] == "simulator" for one in pools):
        replica = re.compile(rf"batcher-{re.escape(pool)}(-\d+)?")
        found = [one["ports"][-1] for one in status["components"] if replica.fullmatch(one["name"]) and one["ports"]]
        if found:
            return tuple(f"127.0.0.1:{port}" for port in found)
    remedy = f"start one by `python -m headrace_stack add batcher-{pool or 'POOL'} --backend simulator`"
    raise invalid("simulator", f"the local stack has none in pool '{pool}'; {remedy}, or name those of another stack")


class Simulators:
    """Control interfaces of `headrace-simulator`, by `host:port`. token: what they want to be shown, empty for none."""

    def __init__(self, addresses: Sequence[str], token: str = "") -> None:
        self._addresses, self._token = tuple(addresses), token
        # Not by way of a proxy: they are near.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    async def put(self, name: str, fault: Mapping[str, Any]) -> None:
        """Set a fault everywhere. Raises HeadraceError; it may be set in some places then."""
        await asyncio.gather(*(self._call("PUT", one, f"/faults/{name}", fault) for one in self._addresses))

    async def hits(self, name: str) -> int:
        """Return how many calls a fault has met, everywhere. Raises HeadraceError."""
        documents = await asyncio.gather(*(self._call("GET", one, "/faults") for one in self._addresses))
        faults = [fault for document in documents for fault in document.get("faults", ())]
        return sum(fault.get("hits", 0) for fault in faults if fault.get("name") == name)

    async def clear(self, name: str) -> None:
        """End a fault on all simulators. Raises HeadraceError for one that does not answer: there the fault ends by
        itself."""
        ended = await asyncio.gather(
            *(self._call("DELETE", one, f"/faults/{name}") for one in self._addresses), return_exceptions=True
        )
        for error in ended:
            if isinstance(error, BaseException) and not isinstance(error, NotFound):
                raise error

    async def _call(self, method: str, address: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        return await asyncio.to_thread(self._call_blocking, method, address, path, body)

    def _call_blocking(self, method: str, address: str, path: str, body: Mapping[str, Any] | None) -> Any:
        headers = {"authorization": f"Bearer {self._token}"} if self._token else {}
        if body is not None:
            headers["content-type"] = "application/json"
        content = None if body is None else json.dumps(body).encode()
        try:
            request = urllib.request.Request(f"http://{address}{path}", content, headers, method=method)
            with self._opener.open(request, timeout=_TIMEOUT_S) as answer:
                content = answer.read(_MAX_BYTES)
            return json.loads(content) if content else {}
        except urllib.error.HTTPError as error:
            raise _refusal(address, error) from None
        except (OSError, ValueError, http.client.HTTPException) as error:  # no server there, or another one
            raise Unavailable(
                f"the simulator at {address} does not answer: {getattr(error, 'reason', error)}",
                reason="SIMULATOR_UNAVAILABLE",
            ) from None


def _refusal(address: str, error: urllib.error.HTTPError) -> HeadraceError:
    """Return what a simulator refused, as it says it."""
    try:
        refusal = json.loads(error.read(_MAX_BYTES))["error"]
        field, message = str(refusal["field"]), str(refusal["message"])
    except (OSError, ValueError, LookupError, TypeError):
        field, message = "simulator", f"answers {error.code} {error.reason}"
    if error.code == 404:
        return NotFound(f"the simulator at {address}: {message}")
    if error.code == 400:
        return invalid(field, f"the simulator at {address}: {message}")
    return PreconditionFailed(f"the simulator at {address} refused {field}: {message}", reason="SIMULATOR_REFUSED")
