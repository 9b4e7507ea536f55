"""The SQL of counters and its code agree."""

import re
from pathlib import Path

import headrace_monitor.record.counters as package
from headrace_servicekit.postgres.sql import load_queries


def test_every_query_is_used_and_every_used_query_exists():
    folder = Path(package.__file__ or "").parent
    source = "".join(file.read_text(encoding="utf-8") for file in folder.rglob("*.py"))
    used = set(re.findall(r'_SQL\["(\w+)"\]', source)) | {"expire_hours", "expire_drops", "expire_erring_units"}
    assert used == set(load_queries("headrace_monitor.record.counters.sql"))
