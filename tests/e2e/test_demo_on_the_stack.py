"""`make demo` once, on the stack that all tests share: its story is told to the end, and the lines that it prints work.

What it shows, `test_demo.py` looks at in `make test-all`, on a stack of its own.
"""

import json
import re
from pathlib import Path

import pytest

from examples.story import headrace
from tests.kit.clients.printed_lines import demonstrated, paste, python_line
from tests.kit.stack.running import RunningStack


@pytest.mark.long
def test_the_story_is_told_to_the_end_and_the_lines_that_it_prints_work(stack: RunningStack, tmp_path: Path):
    told, environment = demonstrated(stack.settings.home, tmp_path)
    printed = " ".join(told.split())
    for part in (
        "v1 registered", "v2 registered", "promoted v1, serving as generation", "v1 answers again",
        "of 2160 requests kept their variant", "flagged as degraded, without linear", "alert high of digits v",
        "recommender: answered from online in",
    ):  # fmt: skip
        assert part in printed
    found = re.findall(r"(promotion|rollback): \d+ answers meanwhile, (\d+) with a score of another version", printed)
    assert found == [("promotion", "0"), ("rollback", "0")]

    answer = json.loads(paste(told, "curl ", environment))
    assert (answer["predictions"][0]["label"], answer["model_version"]) == (2, "v2")
    assert json.loads(paste(told, "grpcurl ", environment))["version"] == "v2"
    assert "[0 1 2 3 4 5 6 7 8 9] [0 1 2 3 4 5 6 7 8 9] v2" in paste(told, python_line(), environment)
    ours = headrace()  # by its name where the caller's path finds it, as the README proposes
    assert "recommender: answered from online in" in paste(told, f"{ours} explain ", environment)
