"""Prometheus sees each version's counters under its model and version."""

from headrace_batcher.metrics import BatchCounters, BatcherCollector, Histogram
from prometheus_client import CollectorRegistry, generate_latest


def test_histograms_count_into_the_bound_that_holds_the_value():
    histogram = Histogram((1, 2, 4))
    for value in (0.5, 1, 1.5, 4, 99):
        histogram.observe(value)
    assert histogram.buckets() == [("1", 2.0), ("2", 3.0), ("4", 4.0), ("+Inf", 5.0)]
    assert (histogram.count, histogram.total) == (5, 106.0)


def test_a_scrape_shows_every_version():
    counters = BatchCounters()
    counters.batch_rows.observe(16)
    counters.answered, counters.cancelled, counters.expired = 9, 1, 2
    counters.shed["QUEUE_FULL"] += 3
    counters.queued_rows, counters.predicted_wait_s = (lambda: 7), (lambda: 0.25)
    registry = CollectorRegistry()
    registry.register(BatcherCollector(lambda: {("digits", "v1"): counters}, lambda: 4, lambda: {"left": 1}))
    text = generate_latest(registry).decode()
    for line in (
        'batcher_batch_rows_bucket{le="16",model="digits",version="v1"} 1.0',
        'batcher_requests_answered_total{model="digits",version="v1"} 9.0',
        'batcher_requests_cancelled_total{model="digits",version="v1"} 1.0',
        'batcher_requests_expired_total{model="digits",version="v1"} 2.0',
        'batcher_requests_shed_total{model="digits",reason="QUEUE_FULL",version="v1"} 3.0',
        'batcher_queued_rows{model="digits",version="v1"} 7.0',
        'batcher_predicted_wait_seconds{model="digits",version="v1"} 0.25',
        "batcher_frames_garbled_total 4.0",
        'batcher_code_processes{state="left"} 1.0',
    ):
        assert line in text
