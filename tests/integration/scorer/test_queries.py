"""Queries of a real PostgreSQL: who is to blame when one is not answered to its end."""

from __future__ import annotations

import pytest
from headrace.tensor.v1 import tensor_pb2
from headrace_scorer.decisions.specs import Location, Source, Spec
from headrace_scorer.engine.messages import Access, PlanOrder, SourceAccess, Work
from headrace_scorer.engine.protocol import Failed
from headrace_scorer.engine.sources import postgresql


def order_of(url: str, query: str) -> PlanOrder:
    spec = Spec(Location("", ""), source=Source("warehouse", query=query))
    access = Access("http://127.0.0.1:1", "us-east-1", None, "headrace")
    contract = tensor_pb2.ServingContract().SerializeToString().decode()
    return PlanOrder(
        Work("models/churn/scoringJobs/1", spec, contract, "", Location("", ""), access),
        whole=True,
        max_objects=1,
        source=SourceAccess("postgresql", uri=url),
    )


def rows_of(url: str, query: str) -> int:
    with postgresql.rows(order_of(url, query), ()) as found:
        return sum(batch.num_rows for batch in found.batches)


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("select 1 / (190000 - at) as x from generate_series(1, 200000) at", "division by zero"),
        ("select ('z' || at)::int as x from generate_series(1, 3) at", "invalid input syntax"),
        ("select lo_create(0)", "read-only transaction"),
        ("select set_config('transaction_read_only', 'off', true)", "read-write mode"),
        ("table pg_class", "no binary output function"),
        ("select row(1, 2) as x", "nested record"),
    ],
)
async def test_a_query_that_fails_while_its_rows_are_read_is_refused_and_not_waited_for(
    postgres_url: str, query: str, told: str
):
    with pytest.raises(Failed, match=told) as failed:
        rows_of(postgres_url, query)
    assert (failed.value.failure, failed.value.transient) == ("SOURCE_UNUSABLE", False)


async def test_a_query_that_takes_too_long_is_refused(postgres_url: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(postgresql, "QUERY_S", 1)
    with pytest.raises(Failed, match="statement timeout") as failed:
        rows_of(postgres_url, "select at, pg_sleep(0.001) from generate_series(1, 60000) at")
    assert not failed.value.transient


async def test_a_connection_that_ends_while_rows_are_read_is_waited_for(postgres_url: str):
    ends = "case when at = 190000 then pg_terminate_backend(pg_backend_pid()) end"
    with pytest.raises(Failed, match="cannot be asked") as failed:
        rows_of(postgres_url, f"select at, {ends} from generate_series(1, 200000) at")
    assert (failed.value.failure, failed.value.transient) == ("SOURCE_UNAVAILABLE", True)


@pytest.mark.parametrize("end", ["", ";", " ;\n", "\n;\n\n", " -- all of them", "\n-- all of them\n"])
async def test_a_query_may_end_as_those_in_files_do(postgres_url: str, end: str):
    assert rows_of(postgres_url, f"select 1 as a{end}") == 1
