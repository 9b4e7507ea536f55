"""Which objects a Delta table's log may name."""

from __future__ import annotations

import pytest
from headrace_scorer.decisions.specs import Location
from headrace_scorer.engine.delta import key_of
from headrace_scorer.engine.protocol import Failed

from tests.kit.rows import each

TABLE = Location("tables", "my sales")


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("part-0.parquet", "my sales/part-0.parquet"),
        ("day=a b/part-0.parquet", "my sales/day=a b/part-0.parquet"),
        ("day=a%20b/part-0.parquet", "my sales/day=a b/part-0.parquet"),
        ("at=10%253A00/part-0.parquet", "my sales/at=10%3A00/part-0.parquet"),
        ("day=../part-0.parquet", "my sales/day=../part-0.parquet"),
        ("s3://tables/my%20sales/part-0.parquet", "my sales/part-0.parquet"),
    ],
)
def test_a_path_in_the_log_is_decoded_once(path: str, key: str):
    assert key_of(path, TABLE) == key


@each(
    "path",
    [
        *("", "/", "/etc/passwd", "a//b", "a/", "./a", "../secret/a", "a/../../secret/a", "%2e%2e/a", "..%2Fa"),
        *(
            "s3://other/a",
            "s3://tables/secret/a",
            "file:///etc/passwd",
            "https://example.com/a",
            "s3://tables/my%20sales",
        ),
    ],
)
def test_a_path_that_is_not_below_the_table_is_refused(path: str):
    with pytest.raises(Failed, match="not below the table") as refused:
        key_of(path, TABLE)
    assert refused.value.failure == "INPUT_UNREADABLE"
