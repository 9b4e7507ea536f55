"""Which pools of batchers there are, and the formats of versions that each runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from headrace_router.control.decisions.readiness import Report

ONNX = 1
"""The format of a batcher that names none, by its number in the registry's API: it is of a release before formats."""


def formats_by_pool(reports: Iterable[Report]) -> Mapping[str, frozenset[int]]:
    """Return what every batcher of each pool runs: a version goes to all of them."""
    pools: dict[str, frozenset[int]] = {}
    for report in reports:
        formats = frozenset(report.occupancy.formats or (ONNX,))
        pools[report.pool] = pools.get(report.pool, formats) & formats
    return dict(sorted(pools.items()))
