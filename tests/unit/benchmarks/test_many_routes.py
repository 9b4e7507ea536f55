"""The tables of many routes, as a data plane reads them from a file."""

from __future__ import annotations

from pathlib import Path

import pytest
from headrace_router.data.tables.last_known_good import LastKnownGood

from benchmarks.systems.many_routes import asked, digest, name, tables


def test_a_data_plane_reads_every_route_from_the_file(tmp_path: Path):
    kept = LastKnownGood(tmp_path)
    kept.write(tables(12))
    *routes, end = kept.read()
    assert [one.table.model for one in routes] == [name(number) for number in range(12)]
    assert {version.digest for one in routes for version in one.table.versions} == {digest()}
    assert end.snapshot_complete


@pytest.mark.parametrize(("count", "with_traffic"), [(1, 1), (100, 10), (1000, 10)])
def test_routes_with_traffic_are_spread_over_the_table(count: int, with_traffic: int):
    chosen = asked(count)
    assert len(set(chosen)) == with_traffic
    assert set(chosen) <= {name(number) for number in range(count)}
    assert chosen[-1] >= name(count * 9 // 10)
