"""MONITOR_* variables."""

from __future__ import annotations

from pathlib import Path

from headrace_servicekit.outbox.settings import WebhookSettings
from headrace_servicekit.settings import PostgresSettings, S3Settings, ServiceSettings, settings_config
from pydantic import Field, field_validator


class MonitorSettings(WebhookSettings, S3Settings, PostgresSettings, ServiceSettings):
    """Settings of the monitor."""

    model_config = settings_config("MONITOR_")

    max_alert_watches: int = Field(
        default=100, ge=1, le=10_000, description="Open WatchAlerts of one process; more are RESOURCE_EXHAUSTED."
    )
    s3_bucket: str = Field(
        default="headrace-monitor", description="Bucket for the prediction log; made when it does not exist."
    )
    registry_bucket: str = Field(
        default="headrace", description="The registry's bucket in the same store, where reference files are read from."
    )
    registry_target: str = Field(
        description="Address of the registry, which has the contracts of versions and what they were trained on."
    )
    control_target: str | None = Field(
        default=None,
        description="Router's control plane, to which usage, budgets and rate limits of 0.1.0 are handed over; empty "
        "leaves them.",
    )
    counter_minutes_d: float = Field(
        default=2,
        gt=0.04,
        le=100,
        description="Days that counters are retained by the minute; by the hour after that.",
    )
    counter_retention_d: float = Field(default=90, ge=1, le=3650, description="Days that counters are retained.")
    counter_silence_d: float = Field(
        default=7,
        ge=1,
        le=365,
        description="Days for which a data plane may be out of reach and still have all counted when it is back.",
    )
    counter_max_series: int = Field(
        default=1_000_000,
        ge=1,
        description="Series of counters that all processes of data planes have together; RESOURCE_EXHAUSTED for more.",
    )
    max_processes: int = Field(
        default=200_000,
        ge=1,
        description="Processes of data planes that are remembered, a tenth of them of one data plane; new ones are "
        "RESOURCE_EXHAUSTED until others are forgotten.",
    )
    max_queries: int = Field(
        default=3, ge=1, le=64, description="Queries of the log above which RESOURCE_EXHAUSTED is answered."
    )
    query_memory_bytes: int = Field(
        default=256 * 2**20, ge=64 * 2**20, description="Memory of one query, and as much again on disk."
    )
    query_threads: int = Field(default=2, ge=1, le=64, description="Threads of one query.")
    query_timeout_s: float = Field(default=60.0, gt=0, le=3600, description="Seconds that one query may take.")
    experiments_every_s: float = Field(
        default=300.0,
        ge=1,
        le=86_400,
        description="Seconds between analyses of a running experiment for alarms.",
    )
    experiments_bytes: int = Field(
        default=2 * 2**30,
        ge=64 * 2**20,
        description="Bytes on disk of the units that are kept from one analysis of an experiment to the next, of all "
        "experiments together; they lie where copies of log files do.",
    )
    query_dir: Path | None = Field(
        default=None,
        description="Folder for copies of log files that queries read; unset means the system's temporary one.",
    )
    query_cache_bytes: int = Field(
        default=512 * 2**20,
        ge=2**20,
        description="Bytes of log files kept as copies, and that one query may read; those of queries that are running "
        "come on top.",
    )
    log_retention_d: float = Field(
        default=30,
        ge=1,
        le=3650,
        description="Days that the prediction log is retained; older predictions are refused.",
    )
    log_compact_every_s: float = Field(
        default=10, gt=0, le=600, description="Seconds between two rounds that write new predictions as Parquet."
    )
    log_max_batches: int = Field(
        default=64, gt=0, description="Batches being stored above which RESOURCE_EXHAUSTED is answered."
    )
    log_max_batch_bytes: int = Field(
        default=128 * 1024 * 1024, gt=0, description="The same for their bytes; one batch is always taken."
    )
    log_lost_after_s: float = Field(
        default=300,
        gt=0,
        description="Seconds after which a number that is missing among a data plane's batches counts as lost, from "
        "when a later one came.",
    )
    log_merge_after_s: float = Field(
        default=7200,
        gt=0,
        description="Age in seconds from which small files of an hour are merged; what is derived from the log has to "
        "have taken them by then.",
    )
    log_replaced_grace_s: float = Field(
        default=1800,
        gt=0,
        description="Seconds for which a file that was merged can still be read by who has begun to.",
    )
    window_s: int = Field(
        default=3600,
        ge=10,
        le=86400,
        description="Seconds of a window of features and predictions, a divisor of a day. Each window of a version "
        "that has a reference is evaluated once for drift.",
    )
    windows_keep_d: float = Field(
        default=35.0, ge=9.0, description="Days that windows are retained; a seasonal reference looks back a week."
    )
    derive_every_s: float = Field(
        default=5.0, gt=0, description="Seconds between two passes that bring new rows of the log into windows."
    )
    drift_settle_s: float = Field(
        default=300.0,
        ge=0,
        description="Seconds after its end at which a window is evaluated: the time that its rows need to arrive.",
    )
    drift_alarms_per_week: float = Field(
        default=0.05,
        gt=0,
        le=100,
        description="False alarms of drift that a version may raise in a week in which nothing drifts, on average.",
    )

    error_run_length_labels: float = Field(
        default=100_000,
        ge=1_000,
        le=1e9,
        description="Labels of a version between two false alarms of its error rate, on average at least, where they "
        "are independent: groups of labels and daily shapes bring more. What a longer run costs: docs/statistics.md.",
    )
    outcomes_every_s: float = Field(
        default=5.0, gt=0, description="Seconds between two searches for the predictions of new outcomes in the log."
    )
    log_settle_s: float = Field(
        default=120.0,
        ge=0,
        description="Seconds after which nearly every prediction is in the log; outcomes of entities are joined then.",
    )
    log_delay_s: float = Field(
        default=3600.0,
        ge=0,
        description="Seconds after which a prediction that is not in the log will not come any more.",
    )
    performance_every_s: float = Field(
        default=30.0, gt=0, description="Seconds between two evaluations of hours with new outcomes."
    )

    @property
    def called(self) -> tuple[str, ...]:
        """What the monitor calls: parts of this installation, where no webhook may be."""
        targets = (self.registry_target, self.control_target or "")
        return self.database_url, self.s3_endpoint, *targets, self.otlp_endpoint or ""

    @field_validator("window_s")
    @classmethod
    def _divides_a_day(cls, value: int) -> int:
        if 86400 % value:
            raise ValueError(f"{value} seconds do not divide a day evenly: 60, 300, 900 and 3600 do")
        return value
