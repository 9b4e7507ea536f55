"""Where the time of a request went: parts that add up, whatever it came to."""

from __future__ import annotations

import pytest
from headrace_router.data.request.trace import Marks, server_timing
from hypothesis import given
from hypothesis import strategies as st


class Clock:
    """Gives one moment after the other."""

    def __init__(self, *moments: float) -> None:
        self._moments = iter(moments)

    def __call__(self) -> float:
        return next(self._moments)


def test_a_computed_answer_has_all_parts():
    marks = Marks(Clock(1.001, 1.003, 1.006), 1.0)
    marks.end_receive()
    marks.end_routing()
    marks.end_lookup()
    marks.answered(1.016, 2_000, 5_000)
    assert server_timing(marks) == (
        "receive;dur=1.000, route;dur=2.000, cache;dur=3.000, queue;dur=2.000, compute;dur=5.000, "
        "transit;dur=3.000, total;dur=16.000"
    )


def test_a_kept_answer_has_a_look_up_and_nothing_behind_it():
    marks = Marks(Clock(1.0, 1.0), 1.0)
    marks.end_receive()
    marks.end_routing()
    marks.answered(1.25, 0, 0)
    told = marks.parts_us()
    assert (told["cache"], told["queue"], told["compute"], told["transit"]) == (250_000, 0, 0, 0)


def test_the_first_look_up_counts():
    marks = Marks(Clock(1.0, 2.0, 3.0, 9.0), 1.0)
    marks.end_receive()
    marks.end_routing()
    marks.end_lookup()
    marks.end_lookup()
    assert marks.lookup_ended == 3.0


# 0.0 is no moment: it stands for those that a request did not come to.
@given(st.lists(st.floats(0.001, 10.0), min_size=5, max_size=5).map(sorted), st.data())
def test_parts_add_up_to_the_total(moments: list[float], data: st.DataObject):
    arrived, *told, ended = moments
    marks = Marks(Clock(*told), arrived)
    marks.end_receive()
    marks.end_routing()
    marks.end_lookup()
    most = int((ended - told[-1]) * 1e6)
    queue_us = data.draw(st.integers(0, most))
    marks.answered(ended, queue_us, data.draw(st.integers(0, most - queue_us)))
    parts = marks.parts_us()
    assert sum(parts.values()) - parts["total"] == pytest.approx(parts["total"], abs=1.0)
