"""What the README shows works as it is shown."""

import re
from pathlib import Path

import pytest


def test_the_examples_in_the_readme_decide_and_compare(capsys: pytest.CaptureFixture[str]):
    readme = Path(__file__).parents[3] / "libs" / "scaling" / "README.md"
    decided, compared = re.findall(r"```python\n(.*?)```", readme.read_text(), re.DOTALL)
    exec(decided, {"now": 1_790_000_000.0})
    assert "requests_per_s of 1,850 at 400 for each replica needs 5 replicas." in capsys.readouterr().out
    exec(compared, {})
    assert re.search(r"^headrace +2\.\d\d% ", capsys.readouterr().out, re.MULTILINE)
