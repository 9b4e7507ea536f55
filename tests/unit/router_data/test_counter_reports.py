"""Counters reach the monitor exactly, whatever becomes of single reports."""

from __future__ import annotations

from collections import Counter

from headrace.router.v1 import predict_pb2
from headrace.telemetry.v1 import telemetry_pb2
from headrace_router.data.answer.answer import ServedFrom
from headrace_router.data.reporting.decisions.recorder import new_drops
from headrace_router.data.reporting.decisions.series import QUIET_S, REPORT_BYTES, CounterReports, Source
from headrace_router.data.tables.table import point_of
from headrace_router.data.telemetry.counters import (
    HASHES,
    LOOK_EVERY_S,
    MAX_SERIES,
    SILENT_S,
    Counters,
    Key,
    VariantKey,
    VariantUnits,
)
from hypothesis import given, settings
from hypothesis import strategies as st

ONLINE = Key("digits", "v1", "a", ServedFrom.ONLINE, 0)
CACHED = ONLINE._replace(served_from=ServedFrom.CACHE, layer="memory")


class Counting:
    """Counters whose clock ticks whenever it is read."""

    def __init__(self) -> None:
        self.now = 0.0
        self.counters = Counters(self._tick, lambda: 1.7e9, reporting=True)
        self.dropped: Counter[str] = new_drops()
        self.reports = CounterReports(Source("data-0", "process"), self.counters, self.dropped)

    def _tick(self) -> float:
        self.now += 1
        return self.now

    def is_quiet(self) -> bool:
        """Return whether what there is to report, if anything, is that the process is there."""
        reports = list(self.reports.unreported())
        return not any(one.message.series or one.message.erring_units for one in reports)

    def observe(self, key: Key, seconds: float = 0.001) -> None:
        self.counters.observe(key, seconds, self._tick())


def test_a_series_is_told_whole():
    counting = Counting()
    counting.observe(ONLINE, 0.5)
    counting.counters.observe(ONLINE, 2.0, 5.0).computed(3, 2, 10, 20)
    counting.counters.observe(CACHED, 0.25, 5.0)
    (report,) = counting.reports.unreported()
    assert (report.message.data_plane, report.message.process, report.message.sequence) == ("data-0", "process", 1)
    assert report.message.report_time.seconds > 1_690_000_000
    told = {(one.served_from, one.layer): one for one in report.message.series}
    online = told[predict_pb2.PredictResponse.SERVED_FROM_ONLINE, ""]
    assert (online.model, online.version, online.variant, online.code) == ("digits", "v1", "a", 0)
    # 64 buckets per doubling from 2^-20 s: 0.5 s begins the 19 x 64th.
    assert online.first_bucket == 19 * 64
    assert (online.duration_counts[0], online.duration_counts[-1], len(online.duration_counts)) == (1, 1, 129)
    assert (online.duration_sum_s, online.rows, online.executions) == (2.5, 3, 0.5)
    assert (online.queue_us, online.compute_us) == (10, 20)
    assert told[predict_pb2.PredictResponse.SERVED_FROM_CACHE, "memory"].duration_sum_s == 0.25


def test_only_what_changed_since_it_was_acknowledged_is_told():
    counting = Counting()
    counting.observe(ONLINE)
    counting.observe(CACHED)
    (lost,) = counting.reports.unreported()
    assert len(lost.message.series) == 2
    (again,) = counting.reports.unreported()
    assert (len(again.message.series), again.message.sequence) == (2, 2)
    counting.observe(CACHED)  # after it was made
    counting.reports.acknowledged(again)
    (third,) = counting.reports.unreported()
    assert [one.layer for one in third.message.series] == ["memory"]
    counting.reports.acknowledged(third)
    assert counting.is_quiet()


def test_what_is_acknowledged_may_be_forgotten_and_comes_back_in_another_generation():
    counting = Counting()
    for number in range(MAX_SERIES):
        counting.observe(ONLINE._replace(variant=f"variant-{number}"))
    for report in counting.reports.unreported():
        counting.reports.acknowledged(report)
    counting.observe(CACHED)
    counting.now += SILENT_S + LOOK_EVERY_S
    counting.observe(ONLINE)  # makes room; what is not acknowledged stays
    assert set(counting.counters.series) >= {ONLINE, CACHED}
    counting.observe(ONLINE._replace(variant="variant-0"))
    told = {one.variant: one for report in counting.reports.unreported() for one in report.message.series}
    assert (told["variant-0"].generation, sum(told["variant-0"].duration_counts)) == (1, 1)


def test_dropped_predictions_alone_are_worth_a_report():
    counting = Counting()
    counting.dropped["BUFFER_FULL"] += 3
    (report,) = counting.reports.unreported()
    assert [(one.reason, one.count) for one in report.message.dropped] == [("BUFFER_FULL", 3)]
    assert not report.message.series
    counting.reports.acknowledged(report)
    assert counting.is_quiet()


def test_reports_are_bounded_and_together_have_everything():
    counting = Counting()
    for number in range(400):
        for at in range(100):
            counting.observe(ONLINE._replace(variant=f"variant-{number}"), 2.0 ** (at / 3 - 20))
    reports = list(counting.reports.unreported())
    assert len(reports) > 1
    assert all(one.message.ByteSize() < REPORT_BYTES + 16 * 1024 for one in reports)
    assert [one.message.sequence for one in reports] == list(range(1, len(reports) + 1))
    variants = [one.variant for report in reports for one in report.message.series]
    assert sorted(variants) == sorted({f"variant-{number}" for number in range(400)})


@settings(max_examples=50)
@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from(("a", "b", "c")), max_size=4), st.sampled_from(("lost", "answer lost", "ok"))
        ),
        max_size=12,
    )
)
def test_loss_changes_nothing(steps):
    counting, seen = Counting(), dict[str, telemetry_pb2.CounterSeries]()
    expected: Counter[str] = Counter()
    for variants, fate in [*steps, ([], "ok")]:
        for variant in variants:
            counting.observe(ONLINE._replace(variant=variant))
            expected[variant] += 1
        for report in counting.reports.unreported():
            if fate != "lost":
                seen |= {one.variant: one for one in report.message.series}
            if fate == "ok":
                counting.reports.acknowledged(report)
    assert {variant: sum(one.duration_counts) for variant, one in seen.items()} == expected
    assert counting.is_quiet()


def test_who_has_nothing_to_report_says_that_it_is_there_every_two_seconds():
    now = [100.0]
    reports = CounterReports(Source("data-0", "process"), Counters(lambda: now[0]), new_drops())
    (first,) = reports.unreported()
    assert not first.message.series
    for passed, expected in ((0.0, 0), (QUIET_S - 0.1, 0), (0.2, 1), (1.0, 0)):
        now[0] += passed
        assert len(list(reports.unreported())) == expected


def test_the_last_report_says_that_no_other_follows():
    counting = Counting()
    (report,) = counting.reports.unreported()
    final = counting.reports.final()
    assert (report.message.final, final.message.final) == (False, True)
    assert final.message.sequence == report.message.sequence + 1


def test_units_that_erred_are_told_until_they_are_acknowledged_and_once_a_report():
    counting, key = Counting(), VariantKey("digits", "v1", "a")
    for unit in ("ann", "bob", "ann"):
        counting.counters.erring.add(key, unit)
    (lost,) = counting.reports.unreported()
    assert len(lost.message.erring_units[0].hashes) == 2
    counting.counters.erring.add(key, "cid")
    (report,) = counting.reports.unreported()
    assert len(report.message.erring_units[0].hashes) == 3
    counting.counters.erring.add(key, "dan")
    counting.reports.acknowledged(report)
    (last,) = counting.reports.unreported()
    assert list(last.message.erring_units[0].hashes) == [point_of("dan")]


def test_units_that_were_refused_are_told_apart_from_those_that_erred():
    counting, key = Counting(), VariantKey("digits", "v1", "a")
    counting.counters.refused.add(key, "ann")
    (report,) = counting.reports.unreported()
    assert not report.message.erring_units
    assert list(report.message.refused_units[0].hashes) == [point_of("ann")]
    counting.counters.erring.add(key, "ann")
    counting.reports.acknowledged(report)
    (last,) = counting.reports.unreported()
    assert not last.message.refused_units
    assert list(last.message.erring_units[0].hashes) == [point_of("ann")]


@given(st.lists(st.integers(0, 10_000), max_size=6_000))
def test_units_that_erred_are_as_many_as_a_sketch_has_and_the_smallest(units):
    erring, key = VariantUnits(), VariantKey("digits", "v1", "a")
    for unit in units:
        erring.add(key, str(unit))
    smallest = sorted({point_of(str(unit)) for unit in units})[:HASHES]
    assert dict(erring.unreported()).get(key, []) == smallest
