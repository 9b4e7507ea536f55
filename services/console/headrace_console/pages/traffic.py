"""What was answered in a time, summed over versions and sources: pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import grpc
from headrace.monitor.v1 import monitor_pb2
from headrace.router.v1 import predict_pb2

# Codes that are the installation's fault, or look so to a caller; others are for the caller to mend.
FAULTS = frozenset(
    code.value[0]
    for code in (
        *(grpc.StatusCode.UNKNOWN, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED),
        *(grpc.StatusCode.INTERNAL, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DATA_LOSS),
    )
)
_CODES = {code.value[0]: code.name for code in grpc.StatusCode}
# A source that answers less than this share says nothing about how fast a model is.
_SLOWEST_COUNTS_FROM = 0.01


@dataclass(frozen=True, slots=True)
class Traffic:
    """Requests for a model. errors: of model or platform; refused: for callers to mend. p99_us: of the slowest source
    that answers more than a hundredth; None without answers.
    """

    count: int
    errors: int
    refused: int
    p99_us: float | None
    sources: tuple[tuple[str, int], ...]
    versions: tuple[tuple[str, int], ...]

    @property
    def answered(self) -> int:
        """Number of successful answers."""
        return self.count - self.errors - self.refused

    @property
    def error_share(self) -> float | None:
        """Share of the requests that failed; None without requests."""
        return self.errors / self.count if self.count else None


def summed(traffic: Iterable[monitor_pb2.GetTrafficResponse.Traffic]) -> Traffic:
    """Return the traffic summed over versions, sources and codes. p99_us: the worst among frequent sources."""
    rows = list(traffic)
    count = sum(row.count for row in rows)
    well = [row for row in rows if row.code == 0]
    telling = [row.p99_us for row in well if row.count >= count * _SLOWEST_COUNTS_FROM]
    return Traffic(
        count=count,
        errors=sum(row.count for row in rows if row.code in FAULTS),
        refused=sum(row.count for row in rows if row.code != 0 and row.code not in FAULTS),
        p99_us=max(telling, default=None),
        sources=_by_size((source(row.served_from), row.count) for row in well),
        versions=_by_size((row.version or "none", row.count) for row in rows),
    )


def code_name(code: int) -> str:
    """Return the name of a gRPC status code."""
    return _CODES.get(code, str(code))


def source(value: int) -> str:
    """Return where an answer came from, as a word."""
    try:
        name = predict_pb2.PredictResponse.ServedFrom.Name(value)  # pyright: ignore[reportArgumentType]
    except ValueError:
        return "unknown"
    return name.removeprefix("SERVED_FROM_").replace("_", " ").lower()


def _by_size(pairs: Iterable[tuple[str, int]]) -> tuple[tuple[str, int], ...]:
    counted: Counter[str] = Counter()
    for name, count in pairs:
        counted[name] += count
    return tuple(counted.most_common())
