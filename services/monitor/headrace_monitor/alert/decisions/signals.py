"""Signals that rules can use, and how observations of short windows aggregate to a longer one."""

from __future__ import annotations

import enum

# Rules on these compare the severity of each observation by itself.
GRADED = frozenset({"drift", "quality"})


class Aggregation(enum.Enum):
    """How values of consecutive windows become the value of all of them together."""

    SUM = "sum"
    MEAN = "mean"
    """Weighed by rows."""
    MAX = "max"
    """No less than the quantile of the whole."""


# Rules on every other signal compare its value.
VALUED: dict[str, Aggregation] = {
    "error_rate": Aggregation.MEAN,
    "latency_p99_us": Aggregation.MAX,
    "lost_batches": Aggregation.SUM,
    "dropped_predictions": Aggregation.SUM,
    # By how much errors are above what is allowed; 0 while labels show no rise.
    "error_rate_change": Aggregation.MAX,
    # Measures of GetPerformance.
    "accuracy": Aggregation.MEAN,
    "auc": Aggregation.MEAN,
    "log_loss": Aggregation.MEAN,
    "calibration_error": Aggregation.MEAN,
    "mae": Aggregation.MEAN,
    "rmse": Aggregation.MEAN,
    "bias": Aggregation.MEAN,
    "reward_mean": Aggregation.MEAN,
    "conversion_rate": Aggregation.MEAN,
    "prediction_mean": Aggregation.MEAN,
    "prediction_std": Aggregation.MEAN,
    "estimated_accuracy": Aggregation.MEAN,
    "estimated_auc": Aggregation.MEAN,
}

SIGNALS = tuple(sorted((*GRADED, *VALUED)))
