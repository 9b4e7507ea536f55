"""Whatever becomes of reports on their way, what is counted is what was counted."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from headrace_monitor.record.counters.convert import report_of
from headrace_monitor.record.counters.decisions.changes import DropState, changes_of, new_drops
from headrace_monitor.record.counters.decisions.differences import SeriesKey, SeriesState, minute_tally
from headrace_monitor.record.counters.decisions.tallies import decode, encode, total
from headrace_servicekit.errors import InvalidArgument
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.kit.monitor.counting_plane import CountingPlane, key
from tests.kit.router.answer_sources import CACHE

START = datetime(2030, 1, 1, tzinfo=UTC)
KEYS = (key(), key(served_from=CACHE), key(version="v2"), key(code=14))
SECONDS = (0.0009, 0.012, 0.0121, 3.5)
ANSWERS = st.lists(
    st.tuples(st.sampled_from(KEYS[:2]) | st.sampled_from(KEYS), st.sampled_from(SECONDS), st.integers(1, 300)),
    max_size=4,
)
# A monitor that is killed before it commits is a report that is lost.
FATES = ("acknowledged", "answer lost", "held up", "lost")


class Store:
    """What the database holds: bytes, and only what was committed."""

    def __init__(self) -> None:
        self.series: dict[str, dict[bytes, tuple[SeriesKey, int, datetime, bytes, bytes]]] = {}
        self.minutes: list[tuple[datetime, SeriesKey, bytes]] = []
        self.drops: dict[str, dict[str, DropState]] = {}
        self.dropped: Counter[str] = Counter()

    def take(self, request, minute: datetime) -> None:
        report = report_of(request)
        rows = self.series.setdefault(request.process, {})
        known = {one: rows[digest] for one, digest in report.digests.items() if digest in rows}
        kept = {one: SeriesState(row[1], row[2], decode(row[3]), decode(row[4])) for one, row in known.items()}
        drops = self.drops.setdefault(request.process, {})
        taken = changes_of(report, kept, minute=minute, known=len(rows))
        new = new_drops(report, drops)
        for one, now in {**taken.opened, **taken.continued}.items():
            rows[report.digests[one]] = one, now.sequence, now.minute, encode(now.total), encode(now.base)
        self.minutes += [(at, one, encode(tally)) for at, one, tally in taken.ended]
        drops.update({reason: DropState(report.sequence, report.dropped[reason]) for reason in new})
        self.dropped.update(new)

    def counted(self, one: SeriesKey):
        ended = [decode(tally) for _, at, tally in self.minutes if at == one]
        open_ = [
            minute_tally(SeriesState(row[1], row[2], decode(row[3]), decode(row[4])))
            for rows in self.series.values()
            for row in rows.values()
            if row[0] == one
        ]
        return total([*ended, *open_])


class Delivery(RuleBasedStateMachine):
    """Two data planes that restart and forget, a network that loses, repeats and reorders, a monitor that is killed.

    It is killed before it commits. A data plane sends what changed since the last acknowledged report, as the proto has
    it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.store = Store()
        self.minute = START
        self.answers: Counter[tuple[SeriesKey, float]] = Counter()
        self.drops = 0
        self.under_way: list = []

    @initialize()
    def start(self) -> None:
        self.planes = [CountingPlane("a"), CountingPlane("b")]
        self.pending: list[set[SeriesKey]] = [set(), set()]

    @rule(plane=st.integers(0, 1), answers=ANSWERS, drops=st.integers(0, 2), fate=st.sampled_from(FATES))
    def report(self, plane: int, answers: list[tuple[SeriesKey, float, int]], drops: int, fate: str) -> None:
        for one, seconds, n in answers:
            self.planes[plane].answer(one, seconds, n)
            self.pending[plane].add(one)
            self.answers[one, seconds] += n
        self.planes[plane].drop(times=drops)
        self.drops += drops
        request = self.planes[plane].report(sorted(self.pending[plane]))
        if fate in ("acknowledged", "answer lost"):
            self.store.take(request, self.minute)
        if fate == "acknowledged":
            self.pending[plane].clear()
        if fate != "lost":  # comes, or comes again, at any time later
            self.under_way.append(request)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def arrive_late(self, data: st.DataObject) -> None:
        for request in data.draw(st.lists(st.sampled_from(self.under_way), min_size=1, max_size=3)):
            self.store.take(request, self.minute)

    @rule(minutes=st.integers(-90, 120))
    def the_clock_jumps(self, minutes: int) -> None:
        self.minute += timedelta(minutes=minutes)

    @rule(plane=st.integers(0, 1), key=st.sampled_from(KEYS))
    def a_data_plane_forgets_a_series(self, plane: int, key: SeriesKey) -> None:
        if key not in self.pending[plane]:  # what is not acknowledged is not forgotten
            self.planes[plane].forget(key)

    @rule(plane=st.integers(0, 1))
    def a_data_plane_restarts(self, plane: int) -> None:
        self.settle(plane)
        self.planes[plane] = CountingPlane(self.planes[plane].data_plane)

    def settle(self, plane: int) -> None:
        self.store.take(self.planes[plane].report(sorted(self.pending[plane])), self.minute)
        self.pending[plane].clear()

    @invariant()
    def nothing_is_counted_that_was_not_answered(self) -> None:
        for one in KEYS:
            assert self.store.counted(one).count <= sum(n for (at, _), n in self.answers.items() if at == one)

    def teardown(self) -> None:
        for plane in (0, 1):
            self.settle(plane)
        for one in KEYS:
            whole = CountingPlane()
            for (at, seconds), n in self.answers.items():
                if at == one:
                    whole.answer(one, seconds, n)
            counted = self.store.counted(one)
            expected = report_of(whole.report()).series.get(one)
            if expected is None:
                assert counted.count == 0
                continue
            assert counted.durations == expected.durations
            assert (counted.rows, counted.queue_us, counted.compute_us, counted.executions) == (
                *(expected.rows, expected.queue_us, expected.compute_us, expected.executions),
            )
            assert counted.duration_sum_s == pytest.approx(expected.duration_sum_s)
        assert self.store.dropped.total() == self.drops


Delivery.TestCase.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
TestDelivery = Delivery.TestCase


def test_a_total_that_shrinks_is_refused_with_its_field():
    store, plane = Store(), CountingPlane()
    for seconds in SECONDS:
        plane.answer(KEYS[0], seconds, 5)
    store.take(plane.report(), START)
    for field, change in (
        ("duration_counts", lambda series: series.duration_counts.__setitem__(0, 4)),
        ("duration_sum_s", lambda series: setattr(series, "duration_sum_s", 0.001)),
        ("rows", lambda series: setattr(series, "rows", 1)),
        ("queue_us", lambda series: setattr(series, "queue_us", 0)),
    ):
        request = plane.report()
        change(request.series[0])
        with pytest.raises(InvalidArgument, match=rf"series\[0\].{field}: is less than in report 1"):
            store.take(request, START)
    assert store.counted(KEYS[0]).count == 20


def test_a_drop_count_that_shrinks_is_refused_with_its_field():
    store, plane = Store(), CountingPlane()
    plane.drop(times=3)
    store.take(plane.report(), START)
    plane.dropped["BUFFER_FULL"] = 2
    with pytest.raises(InvalidArgument, match=r"dropped\[0\].count"):
        store.take(plane.report(), START)


def test_minutes_are_those_in_which_reports_arrive():
    store, plane = Store(), CountingPlane()
    for minute in (0, 0, 1, 3):
        plane.answer(KEYS[0], 0.012, 10)
        store.take(plane.report(), START + timedelta(minutes=minute))
    assert [(at - START, decode(tally).count) for at, _, tally in store.minutes] == [
        (timedelta(minutes=0), 20),
        (timedelta(minutes=1), 10),
    ]
    assert store.counted(KEYS[0]).count == 40


def test_a_process_whose_totals_were_forgotten_goes_on_from_where_it_stands():
    plane = CountingPlane()
    plane.answer(KEYS[0], 0.012, 10)
    first = changes_of(report_of(plane.report()), {}, minute=START, forgotten=True)
    plane.answer(KEYS[0], 0.012, 2)
    second = changes_of(report_of(plane.report()), first.opened, minute=START, forgotten=True)
    assert minute_tally(second.continued[KEYS[0]]).count == 2


def test_series_without_end_are_refused():
    plane = CountingPlane()
    plane.answer(KEYS[0], 0.012)
    with pytest.raises(InvalidArgument, match="would have 8193 series; at most 8192"):
        changes_of(report_of(plane.report()), {}, minute=START, known=8192)


def test_reasons_without_end_are_refused():
    plane = CountingPlane()
    plane.drop("ANOTHER_REASON")
    kept = {f"REASON_{number}": DropState(1, 1) for number in range(64)}
    with pytest.raises(InvalidArgument, match="would have 65 reasons; at most 64"):
        new_drops(report_of(plane.report()), kept)
