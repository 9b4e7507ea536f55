"""Metrics of the prediction log."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge


class LogMetrics:
    """Instruments of the log; RPCs are counted by the service kit."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, description: str) -> Counter:
            return Counter(f"monitor_log_{name}", description, registry=registry)

        self._predictions = counter("predictions", "Predictions that were made durable.")
        self._batches = counter("batches", "Batches that were acknowledged, those that were there already included.")
        self._bytes = counter("batch_bytes", "Bytes of batches that were acknowledged, compressed.")
        self._records = counter("records", "Records written into files of the log.")
        self._files = counter("files", "Files of the log that were written, merged ones included.")
        self._odd = counter("unreadable_tensors", "Tensors of predictions that could not be read: nulls in the log.")
        self._damaged = counter(
            "damaged_batches", "Batches that were dropped: missing, damaged, or not read before records expired."
        )
        self._lost = counter("lost_batches", "Numbers of batches that never came.")
        self._waiting = Gauge("monitor_log_waiting_batches", "Batches not yet in the log.", registry=registry)
        self._oldest = Gauge(
            "monitor_log_waiting_seconds", "Age of the oldest batch that is not yet in the log.", registry=registry
        )

    def taken(self, predictions: int, size_bytes: int) -> None:
        """Count a batch that was acknowledged. predictions: those that were not there before."""
        self._batches.inc()
        self._predictions.inc(predictions)
        self._bytes.inc(size_bytes)

    def written(self, files: int, records: int, odd: int = 0) -> None:
        """Count files and records of the log."""
        self._files.inc(files)
        self._records.inc(records)
        self._odd.inc(odd)

    def damaged(self) -> None:
        """Count a batch that was given up."""
        self._damaged.inc()

    def lost(self, batches: int) -> None:
        """Count numbers that never came."""
        self._lost.inc(batches)

    def waits(self, batches: int, oldest_s: float) -> None:
        """Say how much is not yet in the log."""
        self._waiting.set(batches)
        self._oldest.set(oldest_s)
