"""Rows are a table where they fit, and facts below each other where a terminal is too narrow."""

from io import StringIO

import pytest
from headrace_client.cli.output import Output
from rich.console import Console


def shown(columns: list[str], *, terminal: bool) -> str:
    output = Output(as_json=False)
    stream = StringIO()
    output.stdout = Console(file=stream, force_terminal=terminal, width=40, color_system=None, highlight=False)
    output.rows(columns, [["1" for _ in columns]])
    return stream.getvalue()


def test_columns_that_fit_are_a_table() -> None:
    assert "row 1" not in shown(["age", "score"], terminal=True)


def test_more_columns_than_a_terminal_is_wide_are_shown_row_by_row() -> None:
    lines = shown([f"feature.{index}" for index in range(30)], terminal=True).splitlines()
    assert "row 1" in lines[0]
    assert len(lines) == 31


def test_in_a_pipe_a_row_stays_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    shown([f"feature.{index}" for index in range(30)], terminal=False)
    assert len(capsys.readouterr().out.splitlines()) == 2
