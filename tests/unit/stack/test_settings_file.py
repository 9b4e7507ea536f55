"""`headrace.env`, which the commands of the stack read."""

from __future__ import annotations

from pathlib import Path

import pytest
from headrace_stack.settings import SettingsError, of_file


def test_lines_are_variables_and_comments_are_none(tmp_path: Path) -> None:
    (path := tmp_path / "headrace.env").write_text(
        "# code\n\nREGISTRY_ALLOW_CODE=true\n  ROUTER_DATA_LABEL = 'a=b' \n".replace(" = ", "=")
    )
    assert of_file(path) == {"REGISTRY_ALLOW_CODE": "true", "ROUTER_DATA_LABEL": "a=b"}
    assert of_file(tmp_path / "absent.env") == {}


def test_a_line_that_is_no_variable_is_named(tmp_path: Path) -> None:
    (path := tmp_path / "headrace.env").write_text("A=1\nexport B\n")
    with pytest.raises(SettingsError, match="line 2: 'export B' is not NAME=VALUE"):
        of_file(path)
