"""What is told of an execution: nothing when nobody is followed, else who, up to a bound."""

from collections.abc import Sequence

from headrace_batcher.batching.traces import MAX_NAMED, Traces

from tests.kit.batcher.scripted_backend import WorkMaker
from tests.kit.stack.logs import logged_lines

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Spans:
    """Keeps the traceparents of each span."""

    def __init__(self) -> None:
        self.made: list[Sequence[str]] = []

    def batch(
        self, name: str, traceparents: Sequence[str], started: float, ended: float, attributes: dict[str, int | str]
    ) -> None:
        self.made.append(traceparents)


def test_an_execution_of_which_nobody_is_followed_is_not_told(work: WorkMaker):
    spans = Spans()
    with logged_lines() as lines:
        Traces("m--v", spans).executed([work(), work()], 2, 1.0, 1.5)
    assert (lines.of("batch executed"), spans.made) == ([], [])


def test_followed_members_are_named_up_to_a_bound(work: WorkMaker):
    spans, members = Spans(), [work() for _ in range(20)]
    for number, member in enumerate(members[1:]):
        member.request_id = f"r{number}"
    members[2].traceparent = TRACEPARENT
    with logged_lines() as lines:
        Traces("m--v", spans).executed(members, 20, 1.0, 1.5)
    (line,) = lines.of("batch executed")
    assert line["request_ids"] == [f"r{number}" for number in range(MAX_NAMED)]
    assert line["trace_ids"] == [TRACEPARENT[3:35]]
    assert (line["followed"], line["requests"], line["rows"], line["ms"]) == (19, 20, 20, 500.0)
    assert spans.made == [[TRACEPARENT]]


def test_a_member_that_is_logged_but_not_traced_makes_no_span(work: WorkMaker):
    spans, member = Spans(), work()
    member.request_id = "r"
    with logged_lines() as lines:
        Traces("m--v", spans).executed([member], 1, 1.0, 1.5)
    assert lines.of("batch executed")
    assert spans.made == []
