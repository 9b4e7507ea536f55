"""What the deriver counts."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter


class Metrics:
    """Instruments of the windows."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._files = Counter("monitor_windows_files", "Files of the log that were summarised.", registry=registry)
        self._rows = Counter("monitor_windows_rows", "Rows of the log that were summarised.", registry=registry)
        self._gone = Counter(
            "monitor_windows_files_gone", "Files that were gone before they were summarised.", registry=registry
        )

    def taken(self, files: int, rows: int) -> None:
        """Count what was brought into windows."""
        self._files.inc(files)
        self._rows.inc(rows)

    def gone(self) -> None:
        """Count a file that was gone."""
        self._gone.inc()
