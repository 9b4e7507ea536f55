"""Where the seconds of a run went is read from its JUnit file."""

from __future__ import annotations

from pathlib import Path

from tests.durations.report import Case, read, report

JUNIT = """<?xml version="1.0" encoding="utf-8"?>
<testsuites><testsuite name="pytest">
<testcase classname="tests.unit.stack.test_ports" name="test_a" time="0.250" />
<testcase classname="tests.e2e.test_demo.TestDemo" name="test_b[x]" time="4.000">
<properties><property name="setup:stack" value="3.5" /><property name="other" value="many" /></properties>
</testcase>
</testsuite></testsuites>
"""


def test_a_case_has_its_folder_its_seconds_and_its_set_ups(tmp_path: Path) -> None:
    (tmp_path / "unit.xml").write_text(JUNIT)
    assert read(tmp_path / "unit.xml") == [
        Case("tests/unit/stack", "test_ports::test_a", 0.25, ()),
        Case("tests/e2e", "test_demo::TestDemo::test_b[x]", 4.0, (("stack", 3.5),)),
    ]


def test_seconds_are_summed_by_folder_and_fixture_with_the_dearest_first() -> None:
    cases = [
        Case("tests/unit", "test_a", 1.0, (("rig", 0.5),)),
        Case("tests/e2e", "test_b", 1.5, ()),
        Case("tests/unit", "test_c", 1.0, (("rig", 0.25),)),
    ]
    lines = [line.split() for line in report(cases).splitlines()]
    assert lines[0][:2] == ["3.5", "s"]
    assert lines.index(["2.0", "2", "tests/unit"]) < lines.index(["1.5", "1", "tests/e2e"])
    assert ["0.8", "2", "rig"] in lines
    assert lines.index(["1.5", "tests/e2e/test_b"]) < lines.index(["1.0", "tests/unit/test_a"])
