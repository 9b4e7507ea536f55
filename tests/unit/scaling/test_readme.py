"""What the README shows works as it is shown."""

import re
from pathlib import Path

import pytest


def test_the_example_in_the_readme_explains_its_decision(capsys: pytest.CaptureFixture[str]):
    readme = Path(__file__).parents[3] / "libs" / "scaling" / "README.md"
    example = re.search(r"```python\n(.*?)```", readme.read_text(), re.DOTALL)
    assert example is not None
    exec(example.group(1), {"now": 1_790_000_000.0})
    assert "requests_per_s of 1,850 at 400 for each replica needs 5 replicas." in capsys.readouterr().out
