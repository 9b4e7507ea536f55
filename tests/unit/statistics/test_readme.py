"""What the README shows works as it is shown."""

import re
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest


def test_the_example_in_the_readme_finds_what_changed(capsys: pytest.CaptureFixture[str]):
    readme = Path(__file__).parents[3] / "libs" / "statistics" / "README.md"
    found = re.search(r"```python\n(.*?)```", readme.read_text(), re.DOTALL)
    assert found is not None
    rng = np.random.default_rng(1)
    given = {
        "now": datetime.now(UTC),
        "training": {"age": rng.normal(size=2_000), "country": ["de", "fr"] * 1_000},
        "seen": {"age": rng.normal(1, 1, 2_000), "country": ["de", "fr"] * 1_000},
    }
    exec(found.group(1), given)
    printed = capsys.readouterr().out
    assert re.search(r"^age psi \S+ HIGH", printed, re.MULTILINE)
    assert re.search(r"^country chi_square \S+ NONE", printed, re.MULTILINE)
