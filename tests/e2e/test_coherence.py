"""Callers read while a model is promoted, rolled back, published to, reverted and purged.

After the acknowledgement of a change no answer is from before it, whatever layer gives it: computed, cached, stale or
precomputed.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from tests.kit.stack.coherence import violations
from tests.kit.stack.route_changes import Changing, plan
from tests.kit.stack.running import RunningStack

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "alone")


async def change_and_read(stack: RunningStack, folder: Path, rounds: int, seed: int) -> None:
    async with Changing.of(stack, f"coherent-{seed}-{WORKER}", folder) as changing, changing.read():
        for what in plan(rounds, Random(seed)):
            await changing.do(what)
    found = violations(changing.changes, changing.seen)
    assert found[:10] == [], f"{len(found)} of {len(changing.seen)} answers"
    sources = Counter(one.served_from for one in changing.seen)
    assert {"online", "cache", "precomputed"} <= set(sources), sources


@pytest.mark.long
async def test_no_layer_gives_an_answer_of_before_after_the_acknowledgement(stack: RunningStack, tmp_path: Path):
    await change_and_read(stack, tmp_path, rounds=5, seed=20261125)


@pytest.mark.long
@pytest.mark.faults
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("seed", range(4))
async def test_no_layer_of_two_data_planes_does_in_two_hundred_rounds(
    replicated_stack: RunningStack, tmp_path: Path, seed: int
):
    await change_and_read(replicated_stack, tmp_path, rounds=50, seed=seed)
