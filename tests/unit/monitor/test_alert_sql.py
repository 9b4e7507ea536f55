"""The SQL files of alerting and its code agree."""

import re
from pathlib import Path

import headrace_monitor.alert as package
import pytest
from headrace_servicekit.postgres.sql import load_queries


@pytest.mark.parametrize("name", ["headrace_monitor.alert", "headrace_monitor.alert.webhooks"])
def test_every_query_is_used_and_every_used_query_exists(name):
    folder = Path(package.__file__).parent / name.removeprefix("headrace_monitor.alert").removeprefix(".")
    source = "".join(file.read_text(encoding="utf-8") for file in folder.glob("*.py"))
    used = set(re.findall(r'(?:_SQL\[|self\._fetch\()"(\w+)"', source))
    assert used == set(load_queries(name))
