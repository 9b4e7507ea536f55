"""What was measured, and what was chosen, as one document: it is kept with the version that is made of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from headrace_forge.optimisation import choice
from headrace_forge.optimisation.choice import Budgets, Candidate, Evidence
from headrace_forge.optimisation.process import Measured

FILE = "optimisation.json"


def document(model: str, version: str, measured: Measured, budgets: Budgets) -> dict[str, Any]:
    """Return both tables, the budgets, what misses which of them, and the winner."""
    every = (measured.original, *measured.candidates)
    evidence = Evidence(measured.judged_rows, measured.labelled)
    chosen = choice.winner(measured.candidates, measured.original, budgets, evidence)
    front = choice.front(every)
    return {
        "model": model,
        "version": version,
        "rows": measured.judged_rows,
        "rows_are_random": measured.generated,
        "truth_known": measured.labelled,
        "versions": dict(measured.versions),
        "budgets": {name: getattr(budgets, name) for name in Budgets.__dataclass_fields__},
        "winner": None if chosen is None else chosen.name,
        "quality": [_quality(one, measured.original, budgets, evidence, front) for one in every],
        "speed": [row for one in every for row in _speeds(one)],
    }


def metrics_of(chosen: Candidate, measured: Measured, reported: Mapping[str, float]) -> dict[str, float]:
    """Return what the new version is registered with. reported: what its parent was.

    Without the truth of the rows the accuracy is at least the parent's less the share of rows that are answered
    otherwise.
    """
    assert chosen.quality is not None
    assert chosen.speeds
    found = {
        "latency_p99_ms": chosen.speeds[min(chosen.speeds)].p99_ms,
        "optimised_speedup": chosen.speedup,
        "optimised_size_ratio": chosen.size_bytes / max(1, measured.original.size_bytes),
        "optimised_max_abs_diff": chosen.quality.largest_difference,
    }
    if measured.labelled:
        found["accuracy"] = chosen.quality.accuracy
        if chosen.quality.calibration_error is not None:
            found["calibration_error"] = chosen.quality.calibration_error
    else:
        found["optimised_agreement"] = chosen.quality.accuracy
        if "accuracy" in reported:
            found["accuracy"] = max(0.0, reported["accuracy"] - (1.0 - chosen.quality.accuracy))
    return {name: value for name, value in found.items() if math.isfinite(value)}


def _quality(
    one: Candidate, original: Candidate, budgets: Budgets, evidence: Evidence, front: list[str]
) -> dict[str, Any]:
    told: dict[str, Any] = {
        "candidate": one.name,
        "kind": "model" if one.is_model else "options",
        "problem": one.problem,
        "size_bytes": one.size_bytes,
        "speedup": one.speedup,
        "best_of_its_kind": one.name in front,
        "lacks": [] if one == original else evidence.lacks(one, budgets),
        "misses": [] if one == original else choice.misses(one, original, budgets, evidence),
    }
    if one.quality is not None:
        worst = one.quality.worst
        told |= {
            "accuracy": one.quality.accuracy,
            "calibration_error": one.quality.calibration_error,
            "largest_difference": finite(one.quality.largest_difference),
            "worst_slice": None
            if worst is None
            else {"slice": worst.name, "rows": worst.rows, "original": worst.original, "candidate": worst.candidate},
        }
    return told


def _speeds(one: Candidate) -> list[dict[str, Any]]:
    return [
        {
            "candidate": one.name,
            "batch_rows": rows,
            "p50_ms": speed.p50_ms,
            "p99_ms": speed.p99_ms,
            "rows_per_s": speed.rows_per_s,
            "speedup": speed.speedup,
        }
        for rows, speed in sorted((one.speeds or {}).items())
    ]


def finite(value: float) -> float | None:
    """Return a number as JSON has it; None where it is infinite."""
    return value if math.isfinite(value) else None
