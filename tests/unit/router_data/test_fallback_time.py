"""What the fallback chain tries in the time that is left, and what it leaves to the next step."""

from __future__ import annotations

import pytest
from headrace_router.data.fallbacks.decisions.step_choice import CANNOT
from headrace_servicekit.errors import ServiceError

from tests.kit.router.digits import V2
from tests.kit.router.fallback_chain import HEALTHY, ZERO, Outcome, World, fallen_back, told
from tests.kit.router.fallback_steps import backup, stale


async def test_with_too_little_time_left_the_primary_is_not_tried():
    world = World({("v1", "default"): HEALTHY}, needs={("v1", "default"): 0.03})
    assert told(await fallen_back(world, ZERO, left_s=0.02)) == ("FALLBACK", "", "zero", "TIME_SHORT")
    assert world.asked == []
    assert told(await fallen_back(world, ZERO, left_s=0.05))[0] == "ONLINE"


async def test_one_request_finds_out_anew_how_long_an_answer_takes():
    world = World({("v1", "default"): HEALTHY}, needs={("v1", "default"): 0.03}, anew=True)
    assert told(await fallen_back(world, ZERO, left_s=0.02))[0] == "ONLINE"


async def test_a_primary_that_is_late_leaves_the_next_step_the_time_that_it_needs():
    needs = {("v1", "default"): 0.01, ("v2", "cpu"): 0.03}
    world = World({("v1", "default"): Outcome(takes_s=9.0), ("v2", "cpu"): Outcome(takes_s=0.03)}, needs=needs)
    found = await fallen_back(world, backup("small", V2, "cpu"), ZERO, left_s=0.1)
    assert told(found) == ("FALLBACK", "v2", "small", "DEADLINE_PASSED")
    assert 0.08 < world.at <= 0.1


async def test_a_step_is_passed_over_with_less_time_left_than_the_route_says():
    world = World({("v2", "cpu"): HEALTHY}, needs={("v1", "default"): CANNOT})
    patient = backup("small", V2, "cpu", least_s=0.5)
    assert told(await fallen_back(world, patient, ZERO, left_s=0.4))[2] == "zero"
    assert told(await fallen_back(world, patient, ZERO, left_s=0.6))[2] == "small"


async def test_what_the_route_says_counts_instead_of_what_was_measured():
    world = World({("v2", "cpu"): HEALTHY}, needs={("v1", "default"): CANNOT, ("v2", "cpu"): 3.0})
    assert told(await fallen_back(world, backup("small", V2, "cpu", least_s=0.1), ZERO, left_s=0.4))[2] == "small"


async def test_the_deadline_has_not_passed_while_time_is_left():
    world = World({("v1", "default"): Outcome(takes_s=9.0)}, needs={("v2", "cpu"): 0.3})
    with pytest.raises(ServiceError) as caught:
        await fallen_back(world, backup("small", V2, "cpu"))
    assert caught.value.reason == "NO_BACKEND"
    world.at, world.online = 0.0, {("v1", "default"): Outcome(takes_s=9.0), ("v2", "cpu"): Outcome(takes_s=9.0)}
    with pytest.raises(ServiceError) as caught:
        await fallen_back(world, backup("small", V2, "cpu"))
    assert (caught.value.reason, world.at) == ("DEADLINE_PASSED", 1.0)


async def test_a_primary_that_was_passed_over_is_tried_when_nothing_else_answers():
    world = World({("v1", "default"): HEALTHY}, needs={("v1", "default"): 0.5})
    assert told(await fallen_back(world, stale("old", 60), left_s=0.4)) == ("ONLINE", "v1", "", "")
    assert world.asked == ["stale 60", "v1@default"]
