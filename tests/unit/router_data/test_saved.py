"""The estimate of what was saved: answers that were not computed, times the mean share of an execution."""

from __future__ import annotations

import pytest
from headrace_router.data.answer.answer import ServedFrom
from headrace_router.data.telemetry.counters import MAX_SERIES, SILENT_S, Counters, Key
from headrace_router.data.telemetry.gauges import SavedCompute
from prometheus_client import CollectorRegistry

ONLINE = Key("digits", "v1", "a", ServedFrom.ONLINE, 0)


def test_each_source_saves_the_mean_share_of_an_execution():
    counters, registry = Counters(), CollectorRegistry()
    registry.register(SavedCompute(counters))

    def saved(source: str) -> float | None:
        labels = {"model": "digits", "version": "v1", "source": source}
        return registry.get_sample_value("headrace_router_saved_compute_seconds_total", labels)

    def answer(source: ServedFrom, count: int) -> None:
        for _ in range(count):
            counters.observe(ONLINE._replace(served_from=source), 0.01, 0.0)

    answer(ServedFrom.CACHE, 10)
    assert saved("cache") is None, "nobody knows yet what computing one takes"
    counters.observe(ONLINE, 0.01, 0.0).computed(1, 16, 0, 8_000)  # one of 16: half a millisecond of 8
    counters.observe(ONLINE._replace(variant="b"), 0.01, 0.0).computed(1, 1, 0, 1_500)
    answer(ServedFrom.ONLINE, 3)  # shared the execution of another
    answer(ServedFrom.PRECOMPUTED, 2)
    answer(ServedFrom.STALE, 5)
    assert saved("cache") == pytest.approx(10 * 0.001)
    assert saved("precomputed") == pytest.approx(2 * 0.001)
    assert saved("shared_execution") == pytest.approx(3 * 0.001)

    counters.observe(ONLINE, 0.01, 0.0).computed(1, 1, 0, 7_000)
    answer(ServedFrom.CACHE, 1)
    assert saved("cache") == pytest.approx(10 * 0.001 + 0.003), "what was saved before stays as it was"


def test_what_was_forgotten_saves_from_zero_and_what_goes_on_keeps_what_computing_took():
    now = 0.0
    counters, registry = Counters(lambda: now), CollectorRegistry()
    registry.register(SavedCompute(counters))

    def saved(version: str) -> float | None:
        labels = {"model": "digits", "version": version, "source": "cache"}
        return registry.get_sample_value("headrace_router_saved_compute_seconds_total", labels)

    def answer(version: str, source: ServedFrom, count: int = 1) -> None:
        for _ in range(count):
            series = counters.observe(ONLINE._replace(version=version, served_from=source), 0.01, now)
            if source is ServedFrom.ONLINE:
                series.computed(1, 1, 0, 1_000)

    for version in ("old", "lives"):
        answer(version, ServedFrom.ONLINE)
        answer(version, ServedFrom.CACHE, 10)
    assert saved("old") == pytest.approx(0.01)
    now = SILENT_S
    answer("lives", ServedFrom.CACHE)
    for number in range(MAX_SERIES):
        counters.observe(ONLINE._replace(model=f"m{number}"), 0.01, now)
    assert (saved("old"), saved("lives")) == (None, pytest.approx(0.011))
    now = 2 * SILENT_S
    answer("old", ServedFrom.ONLINE)
    answer("old", ServedFrom.CACHE, 3)
    assert saved("old") == pytest.approx(0.003)
