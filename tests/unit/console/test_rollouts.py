"""What a page says of a rollout before it begins."""

import re
from typing import Any

import pytest
from headrace.rollout.v1 import rollout_pb2
from headrace_console.pages.markup import rendered


def cells(plan: rollout_pb2.PlanRolloutResponse) -> list[str]:
    """Return what stands in the row of the only step, from the second cell on."""
    row = rendered("plan.html", {"plan": plan}).partition("<tbody>")[2]
    return [re.sub("<[^>]+>", "", cell) for cell in re.findall("<td[^>]*>(.*?)</td>", row)]


@pytest.mark.parametrize(
    ("of_pool", "of_step", "told"),
    [
        ({}, {}, ["not known", "not known", "not known"]),
        ({"requests_per_second": 9}, {"extra_online_per_second": 4}, ["4 requests/s", "none", "not known"]),
        ({"requests_per_second": 9}, {"extra_online_per_second": 0}, ["0 requests/s", "none", "enough"]),
        (
            {"requests_per_second": 9, "pool_utilisation": 0.5, "room_per_second": 8},
            {"extra_online_per_second": 4, "detectable_rate": 0.03},
            ["4 requests/s", "3 %", "enough"],
        ),
        (
            {"requests_per_second": 9, "pool_utilisation": 0.5, "room_per_second": 1},
            {"extra_online_per_second": 4, "fitting_percent": 2.5},
            ["4 requests/s", "none", "for 2.5 % now: it would wait for more"],
        ),
    ],
)
def test_a_step_is_said_to_have_room_only_where_that_is_known(
    of_pool: dict[str, Any], of_step: dict[str, Any], told: list[str]
):
    plan = rollout_pb2.PlanRolloutResponse(**of_pool)
    plan.steps.add(percent=10, moved_share=0.1, **of_step)
    assert cells(plan)[1:] == told
