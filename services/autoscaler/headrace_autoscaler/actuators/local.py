"""The wheel stack's supervisor starts and drains batchers: one JSON object a line, on its control socket."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from headrace_autoscaler.actuators.actuator import ActuatorError

_COMPONENT = "batcher-{pool}"
_STATUS_S = 15.0
# Replica counts only: no health checks of components.
_COUNTS = {"do": "status", "checks": False}
_MAX_ANSWER_BYTES = 16 * 1024 * 1024


class LocalActuator:
    """Scales through the supervisor, which answers when all replicas are ready, or reverts the change with an error.

    When a pool shrinks, the supervisor stops the replicas in `first` before others, each once it has drained.

    scale_s: timeout of a change.
    """

    name = "local"
    acts = True

    def __init__(self, socket: Path, *, scale_s: float) -> None:
        self._socket, self._scale_s = socket, scale_s

    async def targets(self, pools: Collection[str]) -> Mapping[str, int]:
        scalable: Mapping[str, int] = (await self._ask(_COUNTS, _STATUS_S))["scalable"]
        named = {pool: _COMPONENT.format(pool=pool) for pool in pools}
        return {pool: scalable[component] for pool, component in named.items() if component in scalable}

    async def scale(self, pool: str, replicas: int, first: Sequence[str]) -> None:
        request = {"do": "scale", "component": _COMPONENT.format(pool=pool), "replicas": replicas, "first": list(first)}
        if replicas == 0:
            request["to_zero"] = True
        await self._ask(request, self._scale_s)

    async def _ask(self, request: Mapping[str, Any], within_s: float) -> dict[str, Any]:
        try:
            async with asyncio.timeout(within_s):
                answer = await self._exchange(request)
        except TimeoutError:
            raise ActuatorError(f"the supervisor did not answer within {within_s:g} s") from None
        except (OSError, ValueError) as error:
            raise ActuatorError(f"the supervisor cannot be asked at {self._socket}: {error}") from None
        if not isinstance(answer, dict) or not answer.get("ok"):
            said = answer.get("error") if isinstance(answer, dict) else None
            raise ActuatorError(f"the supervisor refused: {said or 'it said nothing that can be read'}")
        return answer

    async def _exchange(self, request: Mapping[str, Any]) -> Any:
        with _short(self._socket) as path:
            reader, writer = await asyncio.open_unix_connection(path, limit=_MAX_ANSWER_BYTES)
        try:
            writer.write(json.dumps(request).encode() + b"\n")
            await writer.drain()
            line = await reader.readline()
        finally:
            writer.close()
        if not line:
            raise ActuatorError("the supervisor has stopped")
        return json.loads(line)


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """Lend a name of the socket that fits: the kernel takes 107 bytes, and a checkout may lie deep."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
