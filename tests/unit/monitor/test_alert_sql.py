"""The SQL file of alerting and its code agree."""

import re
from pathlib import Path

import headrace_monitor.alert as package
from headrace_servicekit.postgres.sql import load_queries


def test_every_query_is_used_and_every_used_query_exists():
    source = "".join(file.read_text(encoding="utf-8") for file in Path(package.__file__).parent.glob("*.py"))
    used = set(re.findall(r'(?:_SQL\[|self\._fetch\()"(\w+)"', source))
    assert used == set(load_queries("headrace_monitor.alert"))
