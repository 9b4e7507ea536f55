"""What was measured on a version as it serves, kept beside what its uploader reported."""

from __future__ import annotations

from collections.abc import Sequence

from headrace_servicekit.clock import Clock
from headrace_servicekit.errors import PreconditionFailed, refuse
from headrace_servicekit.identity import Identity
from headrace_servicekit.resource_names import invalid

from headrace_registry.catalog import writes
from headrace_registry.decisions import validation
from headrace_registry.decisions.models import Measurement, Metric, Version, VersionRef
from headrace_registry.storage.store import Store

MAX_AT_ONCE = 64
MAX_PROCESS_CHARS = 128


class Measurements:
    """Measured metrics over a store."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock

    async def record(self, ref: VersionRef, digest: str, metrics: Sequence[Metric], process: str) -> Version:
        """Record what one process measured and return the version with it.

        What the process said last of a metric is not recorded again, so a repeated call changes nothing. Epoch and etag
        of the model stay: a measurement is no decision, and must not void those that people are about to take. Watches
        tell of it all the same. Raises InvalidArgument, NotFound, PreconditionFailed (DIGEST_MISMATCH).
        """
        _check(metrics, process)
        async with self._store.transaction() as transaction:
            model = await writes.locked(transaction, ref.model)
            version = await writes.existing(transaction, ref)
            if version.digest != digest:
                raise PreconditionFailed(
                    f"version '{ref.version}' of '{ref.model}' has digest {version.digest}; measured was {digest}",
                    reason="DIGEST_MISMATCH",
                    metadata={"digest": version.digest},
                )
            said = await transaction.last_measured_by(ref, process)
            news = [metric for metric in metrics if said.get(metric.name) != metric.value]
            if news:
                now = self._clock.now()
                await transaction.insert_measurements(
                    ref, [Measurement(metric.name, metric.value, process, now) for metric in news]
                )
                await transaction.save(model, ())
            return await writes.existing(transaction, ref)


def measured_by(process: str, caller: Identity) -> str:
    """Return the source stored with a measurement: an outside caller cannot claim to be a service or another client."""
    return process if caller.internal or not process else f"clients/{caller.client}/{process}"


def _check(metrics: Sequence[Metric], process: str) -> None:
    if not 1 <= len(metrics) <= MAX_AT_ONCE:
        raise invalid("metrics", f"{len(metrics)} metrics; 1 to {MAX_AT_ONCE} are taken at once")
    if not process:
        raise invalid("source_process", "is empty: say which process measured")
    refuse(
        [
            *validation.metric_violations(metrics, "metrics"),
            *validation.text_violations(process, "source_process", MAX_PROCESS_CHARS),
        ]
    )
