"""What scheduled looks count."""

from __future__ import annotations

from headrace_statistics.severity import Severity
from prometheus_client import CollectorRegistry, Counter


class Metrics:
    """Instruments of the looks."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._looks = Counter(
            "monitor_drift_looks", "Scheduled looks at windows, by what they found.", ("severity",), registry=registry
        )

    def looked(self, severity: Severity) -> None:
        """Count a look."""
        self._looks.labels(severity.name.lower()).inc()
