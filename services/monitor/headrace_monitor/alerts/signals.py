"""What rules can look at, and how looks at shorter times become a look at a longer one."""

from __future__ import annotations

import enum

# Rules on these look at the severity of what was found, one look at a time.
GRADED = frozenset({"drift", "quality"})


class Joining(enum.Enum):
    """How the values of times that follow each other become the value of the whole."""

    SUM = "sum"
    MEAN = "mean"
    """Weighed by rows."""
    MAX = "max"
    """No less than the quantile of the whole."""


# Of every other signal rules look at the value.
VALUED: dict[str, Joining] = {
    "error_rate": Joining.MEAN,
    "latency_p99_us": Joining.MAX,
    "lost_batches": Joining.SUM,
    "dropped_predictions": Joining.SUM,
    # By how much errors are above what is allowed; 0 while labels show no rise.
    "error_rate_change": Joining.MAX,
    # Measures of GetPerformance.
    "accuracy": Joining.MEAN,
    "auc": Joining.MEAN,
    "log_loss": Joining.MEAN,
    "calibration_error": Joining.MEAN,
    "mae": Joining.MEAN,
    "rmse": Joining.MEAN,
    "bias": Joining.MEAN,
    "reward_mean": Joining.MEAN,
    "conversion_rate": Joining.MEAN,
    "prediction_mean": Joining.MEAN,
    "prediction_std": Joining.MEAN,
    "estimated_accuracy": Joining.MEAN,
    "estimated_auc": Joining.MEAN,
}

SIGNALS = tuple(sorted((*GRADED, *VALUED)))
