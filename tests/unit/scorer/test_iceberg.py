"""Tables of an Iceberg catalog: one file at a time, and no word of how the catalog is reached."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from headrace_scorer.decisions.specs import Location, Source, Spec
from headrace_scorer.engine.messages import Access, PlanOrder, SourceAccess, Work
from headrace_scorer.engine.processes import Failed
from headrace_scorer.engine.sources import iceberg
from headrace_scorer.engine.sources.copying import copied
from pyiceberg.catalog import load_catalog

FILES = 4


def order_of(properties: dict[str, str], table: str = "sales.customers") -> PlanOrder:
    spec = Spec(Location("", ""), source=Source("lake", table=table))
    access = Access("http://127.0.0.1:1", "us-east-1", None, "headrace")
    return PlanOrder(
        Work("models/churn/scoringJobs/1", spec, "", "", Location("", ""), access),
        whole=True,
        max_objects=1,
        source=SourceAccess("iceberg", properties=properties),
    )


@pytest.fixture
def lake(tmp_path: Path) -> dict[str, str]:
    properties = {"type": "sql", "uri": f"sqlite:///{tmp_path}/catalog.db", "warehouse": f"file://{tmp_path}/lake"}
    catalog = load_catalog("lake", **properties)
    catalog.create_namespace("sales")
    table = catalog.create_table("sales.customers", schema=pa.schema([("a", pa.int64()), ("b", pa.string())]))
    for at in range(FILES):
        table.append(pa.table({"a": pa.array([at, at]), "b": ["x", "y"]}))
    catalog.close()
    return properties


def test_the_rows_of_every_file_are_read_of_the_columns_that_are_asked_for(lake: dict[str, str]):
    with iceberg.rows(order_of(lake), ["a"]) as found:
        assert found.schema.names == ["a"]
        values = [value for batch in found.batches for value in batch.column("a").to_pylist()]
    assert sorted(values) == [at for at in range(FILES) for _ in range(2)]


async def test_files_are_read_one_by_one_and_none_before_its_turn(lake: dict[str, str], tmp_path: Path):
    with iceberg.rows(order_of(lake), ["a"]) as found:
        next(found.batches)
        for file in (tmp_path / "lake").rglob("*.parquet"):
            file.unlink()
        with pytest.raises(Failed):
            next(found.batches)


@pytest.mark.parametrize(
    "properties",
    [
        {"uri": "mysql://ada:secret@db/x"},
        {"type": "sql", "uri": "mysql://ada:secret@db/x"},
        {"type": "rest", "uri": "nonsense://ada:secret@catalog"},
        {"type": "secret"},
        {"py-catalog-impl": "secret"},
        {"type": "", "uri": "", "token": "secret"},
    ],
)
def test_what_a_catalog_is_opened_with_is_in_no_reason(properties: dict[str, str]):
    with pytest.raises(Failed) as failed:
        iceberg.schema(order_of(properties))
    assert "secret" not in failed.value.reason


@pytest.mark.parametrize("table", ["customers", "sales..customers", "sales.gone", "gone.customers", "sales.c'; --"])
def test_a_table_that_is_not_there_is_named(lake: dict[str, str], table: str):
    with pytest.raises(Failed, match="source 'lake'") as failed:
        iceberg.schema(order_of(lake, table))
    assert (failed.value.failure, failed.value.transient) == ("SOURCE_UNUSABLE", False)


class EmptyStore:
    """A store that has nothing, and is given nothing."""

    def listed(self, at: Location) -> tuple[()]:
        return ()


def test_a_copy_that_finds_no_room_says_so_and_is_not_begun_anew(lake: dict[str, str], tmp_path: Path):
    (tmp_path / "copy.parquet").symlink_to("/dev/full")
    store: Any = EmptyStore()
    with pytest.raises(Failed, match=r"No space left on device.*work folder") as failed:
        copied(replace(order_of(lake), folder=str(tmp_path)), store, ["a"])
    assert (failed.value.failure, failed.value.transient) == ("DISK_FULL", False)
