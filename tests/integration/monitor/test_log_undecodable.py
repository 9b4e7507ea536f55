"""Batches that were taken and that this code cannot decode: they wait for better code, block nobody, and end."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from headrace_monitor.record.log import envelopes
from headrace_monitor.record.log.batches import Batches, StoredBatch
from headrace_monitor.record.log.compactor import Compactor
from headrace_monitor.record.log.metrics import LogMetrics
from headrace_monitor.record.log.writer import Files
from headrace_servicekit.testing import FakeClock
from prometheus_client import CollectorRegistry

from tests.kit.monitor.prediction_log import Stores, log_stores
from tests.kit.monitor.predictions import KnownContracts, batch, contract, report, spec

# What is given up is too old by the database's clock as well: that is far beyond.
NOON = datetime(2020, 1, 1, 12, tzinfo=UTC)
KEEP = timedelta(days=30)
PROCESS = uuid.UUID(int=1)


class Confused(KnownContracts):
    """Has something of version `odd` that decoding does not understand, as a defect would."""

    async def get(self, model: str, version: str) -> Any:
        return object() if version == "odd" else await super().get(model, version)


class Rig:
    """A compactor at a time that the test moves, and what it counts."""

    def __init__(self, stores: Stores) -> None:
        self.stores, self.clock, self.counted = stores, FakeClock(NOON), CollectorRegistry()
        contracts = Confused()
        contracts.add("digits", "v1", contract({"a": spec("FP32")}, {"y": spec("FP64")}))
        files = Files(stores.database, stores.objects, self.clock)
        self.compactor = Compactor(
            *(stores.database, stores.objects, files, contracts),
            keep=KEEP,
            clock=self.clock,
            metrics=LogMetrics(self.counted),
        )

    async def take(self, number: int, version: str) -> None:
        """Take in a batch of one prediction."""
        made = batch({"a": np.ones(1, "f4")}, {"y": np.zeros(1)}, version=version, start_us=int(NOON.timestamp() * 1e6))
        packed = envelopes.pack(report(made, PROCESS, number))
        await self.stores.objects.put_if_absent(envelopes.batch_key(PROCESS, number), packed)
        stored = StoredBatch(PROCESS, number, "dp-0", len(packed), 1)
        await Batches(self.stores.database).add(stored, self.clock.now())

    async def round(self) -> None:
        await self.compactor.round()
        await self.compactor.remove_compacted()

    async def batches(self) -> list[str]:
        """Return the keys of the batches that are there."""
        return [one.key async for page in self.stores.objects.pages(envelopes.BATCH_PREFIX) for one in page]

    def count(self, name: str) -> float | None:
        return self.counted.get_sample_value(f"monitor_log_{name}")


async def test_a_batch_that_cannot_be_decoded_waits_as_long_as_records_are_kept_and_is_given_up_then(
    postgres_url, s3, tmp_path
):
    async with log_stores(postgres_url, s3, tmp_path) as stores:
        rig = Rig(stores)
        await rig.take(1, "odd")
        await rig.take(2, "v1")
        await rig.round()
        (file,) = await stores.reader.files("digits", None, NOON, NOON + timedelta(hours=1))
        assert (file.version, file.rows) == ("v1", 1)

        await rig.clock.advance((KEEP - timedelta(minutes=1)).total_seconds())
        await rig.round()
        assert await rig.batches() == [envelopes.batch_key(PROCESS, 1)]
        assert (rig.count("waiting_batches"), rig.count("damaged_batches_total")) == (1, 0)

        await rig.clock.advance(600)
        await rig.round()
        assert await rig.batches() == []
        assert (rig.count("waiting_batches"), rig.count("damaged_batches_total")) == (0, 1)
