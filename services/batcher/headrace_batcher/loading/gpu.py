"""How busy the GPUs are that this batcher's Triton sees, from Triton's own metrics."""

from __future__ import annotations

import asyncio
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException

from prometheus_client.parser import text_string_to_metric_families

LOOK_EVERY_S = 2.0
_TIMEOUT_S = 1.0
_MOST_BYTES = 4 * 1024 * 1024
_UTILISATION = "nv_gpu_utilization"
_USED, _TOTAL = "nv_gpu_memory_used_bytes", "nv_gpu_memory_total_bytes"


@dataclass(frozen=True, slots=True)
class GpuLoad:
    """Shares between 0 and 1, over all GPUs that Triton sees. used_bytes: of their memory, by whomever."""

    utilisation: float
    memory: float
    used_bytes: int = 0


def load_of(text: str) -> GpuLoad | None:
    """Return the load in Triton's metrics; None where it sees no GPU, or says what cannot be. Raises ValueError."""
    values: Mapping[str, list[float]] = {_UTILISATION: [], _USED: [], _TOTAL: []}
    # Skip the long metrics by model and version: parsing delays requests.
    gpu_lines = "\n".join(line for line in text.splitlines() if line.startswith("nv_gpu_"))
    for family in text_string_to_metric_families(gpu_lines):
        for sample in family.samples:
            if sample.name in values:
                values[sample.name].append(sample.value)
    busy, total = values[_UTILISATION], sum(values[_TOTAL])
    if not busy or not total > 0.0:
        return None
    used = sum(values[_USED])
    shares = sum(busy) / len(busy), used / total
    return GpuLoad(*shares, int(used)) if _are_shares(shares) else None


def _are_shares(values: Sequence[float]) -> bool:
    return all(0.0 <= value <= 1.0 for value in values)


class GpuWatch:
    """Keeps the last load. url: of Triton's metrics."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.load: GpuLoad | None = None

    async def look(self) -> None:
        """Look once. Without an answer nothing is known."""
        try:
            self.load = load_of(await asyncio.to_thread(self._read))
        except (OSError, ValueError, HTTPException):
            self.load = None

    def _read(self) -> str:
        with urllib.request.urlopen(self._url, timeout=_TIMEOUT_S) as answer:
            return answer.read(_MOST_BYTES).decode()
