"""Decision records have one form, the index is theirs, and what changes another one says so in both."""

import importlib.util
import re
import sys
from types import ModuleType

import pytest

from tests.kit.topology import CHECKOUT


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("decision_index", CHECKOUT / "docs" / "decisions" / "index.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["decision_index"] = module
    spec.loader.exec_module(module)
    return module


decisions = load()
RECORDS = decisions.records()
CHANGED = [record for record in RECORDS if record.status != "accepted"]


def test_the_index_is_what_the_records_say():
    assert decisions.main(["check"]) == 0


def test_no_number_is_used_twice():
    numbers = [record.number for record in RECORDS]
    assert len(numbers) > 180
    assert sorted(set(numbers)) == numbers


@pytest.mark.parametrize("record", CHANGED, ids=lambda record: record.number)
def test_the_later_record_names_the_one_that_it_changes(record):
    (later,) = re.findall(r"\]\(([^)]+)\)", record.status)
    text = (decisions.HERE / later).read_text(encoding="utf-8")
    assert re.search(rf"\b{record.number}\b|\bdecision {int(record.number)}\b", text)
