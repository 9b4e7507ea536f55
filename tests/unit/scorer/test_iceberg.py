"""Tables of an Iceberg catalog: one file at a time, and no word of how the catalog is reached."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from headrace_scorer.decisions.specs import Location, Source, Spec
from headrace_scorer.engine import plan
from headrace_scorer.engine.messages import Access, PlanOrder, SourceAccess, Work
from headrace_scorer.engine.objects import Listed
from headrace_scorer.engine.protocol import Failed
from headrace_scorer.engine.sources import iceberg
from headrace_scorer.engine.sources.copies import copied
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


def test_a_file_is_not_decoded_whole_before_its_first_row(lake: dict[str, str]):
    catalog = load_catalog("lake", **lake)
    rows = 16_000_000
    table = catalog.create_table(
        "sales.many", schema=pa.schema([("a", pa.int64())]), properties={"write.parquet.row-group-limit": "50000"}
    )
    table.append(pa.table({"a": np.arange(rows) // 1000}))
    catalog.close()
    before = pa.total_allocated_bytes()
    with iceberg.rows(order_of(lake, "sales.many"), ["a"]) as found:
        first = next(found.batches)
        held = pa.total_allocated_bytes() - before
        assert first.num_rows + sum(batch.num_rows for batch in found.batches) == rows
    assert held < rows * 8 / 2


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


def test_a_reader_of_another_release_is_not_a_catalog_that_is_away(
    lake: dict[str, str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delattr("pyiceberg.io.pyarrow.ArrowScan._record_batches_from_scan_tasks_and_deletes")
    with pytest.raises(Failed, match="PyIceberg") as failed, iceberg.rows(order_of(lake), ["a"]) as found:
        next(found.batches)
    assert (failed.value.failure, failed.value.transient) == ("READER_MISSING", False)


class Store:
    """A store that has names alone."""

    def __init__(self, *keys: str) -> None:
        self.keys = list(keys)

    def listed(self, at: Location) -> list[Listed]:
        return [Listed(key, "e", 1) for key in self.keys]

    def remove(self, bucket: str, key: str) -> None:
        self.keys.remove(key)

    def create(self, at: Location, file: Path, metadata: dict[str, str]) -> None:
        self.keys.append(at.prefix)

    def found(self, bucket: str, key: str) -> Listed:
        return Listed(key, "e", 1)


def test_a_copy_that_finds_no_room_says_so_and_is_not_begun_anew(lake: dict[str, str], tmp_path: Path):
    (tmp_path / "copy.parquet").symlink_to("/dev/full")
    store: Any = Store()
    with pytest.raises(Failed, match=r"No space left on device.*work folder") as failed:
        copied(replace(order_of(lake), folder=str(tmp_path)), store, ["a"], ())
    assert (failed.value.failure, failed.value.transient) == ("DISK_FULL", False)


def test_what_a_lost_copy_left_is_removed_and_what_another_process_copies_meanwhile_is_not(
    lake: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    store: Any = Store("_input/of-a-lost-one")
    asked = plan.schema_of

    def slowly(order: PlanOrder) -> pa.Schema:
        store.keys.append("_input/of-another-one")
        return asked(order)

    monkeypatch.setattr(plan, "schema_of", slowly)
    order = order_of(lake)
    spec = replace(order.work.spec, keep=("a",))
    made = plan._listed(replace(order, folder=str(tmp_path), work=replace(order.work, spec=spec)), store)
    assert store.keys == ["_input/of-another-one", *(one.key for one in made)]
    assert len(made) == 1
