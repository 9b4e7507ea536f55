"""Decision records have one form, and the index lists them."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.kit.deployment.topology import CHECKOUT


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("decision_index", CHECKOUT / "docs" / "decisions" / "index.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["decision_index"] = module
    spec.loader.exec_module(module)
    return module


decisions = load()


def test_the_index_is_what_the_records_say():
    assert decisions.main(["check"]) == 0


def test_no_number_is_used_twice():
    numbers = [record.number for record in decisions.records()]
    assert len(numbers) > 100
    assert sorted(set(numbers)) == numbers


def test_a_record_that_begins_otherwise_is_named_with_what_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "0001-name.md").write_text("# 1. Name\n\n**Context.**\n")
    monkeypatch.setattr(decisions, "FOLDERS", (tmp_path,))
    monkeypatch.setattr(decisions, "ROOT", tmp_path)
    assert decisions.main(["check"]) == 1
    assert "0001-name.md: it must begin with `# 0001: Noun phrase`" in capsys.readouterr().err
