"""What this data plane can tell of its models, as the Open Inference Protocol wants to know it.

Everything is a document: JSON as REST has it, with the names of the fields of the protobuf messages.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from headrace_servicekit.errors import Code, NotFound, ServiceError
from headrace_servicekit.identity import Identity, model_not_found

from headrace_router.data.answer.answer import ServedFrom
from headrace_router.data.answer.refusals import (
    model_missing,
    model_not_ready,
    no_tables,
    version_not_found,
)
from headrace_router.data.tables.contract import Contract, Spec
from headrace_router.data.tables.decisions.lookup_policy import Mode
from headrace_router.data.tables.served import ServedVersion
from headrace_router.data.tables.table import Table, Variant
from headrace_router.data.tables.tables import Tables
from headrace_router.data.telemetry.counters import Counters, Key, Series

Document = dict[str, Any]

NAME, PLATFORM = "headrace", "headrace"
# What works, by the names that Triton gives its extensions.
EXTENSIONS = ("binary_tensor_data", "model_configuration", "schedule_policy", "statistics")
READY, UNAVAILABLE = "READY", "UNAVAILABLE"


class Catalog:
    """Answers requests about models. A model that the caller may not know of is not found.

    serves: whether batchers of a pool have a version ready. max_rows: most rows of one request.
    """

    def __init__(
        self,
        tables: Tables,
        counters: Counters,
        *,
        serves: Callable[[str, ServedVersion], bool],
        ready: Callable[[], bool],
        version: str,
        max_rows: int,
    ) -> None:
        self._tables, self._counters, self._serves, self.ready = tables, counters, serves, ready
        self._version, self._max_rows = version, max_rows

    def server(self) -> Document:
        """Return what `ServerMetadata` tells."""
        return {"name": NAME, "version": self._version, "extensions": list(EXTENSIONS)}

    def models(self, caller: Identity) -> list[str]:
        """Return the names of the models that the caller may know of."""
        return sorted(filter(caller.sees, self._by_model()))

    def metadata(self, model: str, version: str, caller: Identity) -> Document:
        """Return what `ModelMetadata` tells: of a version, or of the one that most get. Raises ServiceError."""
        table = self._table(model, caller)
        contract = _variant(table, version).served.contract
        return {
            "name": model,
            "versions": [variant.served.version for variant in table.named()],
            "platform": PLATFORM,
            "inputs": [_tensor(spec) for spec in contract.inputs],
            "outputs": [_tensor(spec) for spec in contract.outputs],
        }

    def config(self, model: str, version: str, caller: Identity) -> Document:
        """Return what `ModelConfig` tells, in Triton's terms. Raises ServiceError."""
        table = self._table(model, caller)
        contract = _variant(table, version).served.contract
        batching = {} if table.max_wait_us is None else {"max_queue_delay_microseconds": table.max_wait_us}
        return {
            "name": model,
            "platform": PLATFORM,
            "backend": NAME,
            "max_batch_size": self._max_rows,
            "input": [
                {**_configured(spec), **({"optional": True} if spec.optional else {})} for spec in contract.inputs
            ],
            "output": [_configured(spec) for spec in contract.outputs],
            "dynamic_batching": batching,
            "response_cache": {"enable": table.policy.mode is Mode.HYBRID and not contract.decoupled},
            **({"model_transaction_policy": {"decoupled": True}} if contract.decoupled else {}),
            **_parameters(contract),
        }

    def statistics(self, model: str, version: str, caller: Identity) -> Document:
        """Return what `ModelStatistics` tells: of a version, of a model, or of all models. Raises ServiceError."""
        if model:
            table = self._table(model, caller)
            asked = _asked(table, version) if version else list(_versions(table))
        elif version:
            raise model_missing()
        else:
            tables = (self._by_model()[name] for name in self.models(caller))
            asked = [pair for table in tables if table is not None for pair in _versions(table)]
        return {"model_stats": statistics_of(asked, self._counters)}

    def model_ready(self, model: str, version: str, caller: Identity) -> bool:
        """Return whether a request would find a batcher: of a version, or of all that the weights lead to.

        Raises NotFound for a model or version that is not there, or that the caller may not know of.
        """
        try:
            table = self._table(model, caller)
            variants: Iterable[Variant] = (_variant(table, version),) if version else table.weighted()
        except NotFound:
            raise
        except ServiceError:
            return False
        return self.ready() and all(self._serves(variant.pool, variant.served) for variant in variants)

    def index(self, caller: Identity, *, ready_only: bool) -> list[Document]:
        """Return what `RepositoryIndex` tells: every version that a route names, with its state."""
        return [entry for entry in self._index(caller) if entry["state"] == READY or not ready_only]

    def _index(self, caller: Identity) -> Iterator[Document]:
        for name in self.models(caller):
            table = self._by_model()[name]
            if table is None:
                yield {"name": name, "version": "", "state": UNAVAILABLE, "reason": "nothing serves it yet"}
                continue
            for variant in table.named():
                serves = self._serves(variant.pool, variant.served)
                yield {
                    "name": name,
                    "version": variant.served.version,
                    "state": READY if serves else UNAVAILABLE,
                    "reason": "" if serves else f"no batcher of pool '{variant.pool}' has it ready",
                }

    def _by_model(self) -> Mapping[str, Table | None]:
        if not self._tables.loaded:
            raise no_tables()
        return self._tables.by_model

    def _table(self, model: str, caller: Identity) -> Table:
        if not model:
            raise model_missing()
        tables = self._by_model()
        if model not in tables or not caller.sees(model):
            raise model_not_found(model)
        table = tables[model]
        if table is None:
            raise model_not_ready(model)
        return table


def _variant(table: Table, version: str) -> Variant:
    """Return the variant of a version that the route names, or without one, the variant with most buckets."""
    if not version:
        buckets = table.weighted()
        return max(buckets, key=lambda variant: buckets[variant])
    variant = table.pin(version)
    if variant is None:
        raise version_not_found(table.model, version)
    return variant


def _asked(table: Table, version: str) -> list[tuple[str, str]]:
    """Return the version of a name, or of the number that statistics call it."""
    numbered = [pair for pair in _versions(table) if number_of(pair[1]) == version]
    if numbered and table.pin(version) is None:
        return numbered[:1]
    return [(table.model, _variant(table, version).served.version)]


def _versions(table: Table) -> Iterator[tuple[str, str]]:
    return ((table.model, variant.served.version) for variant in table.named())


def _tensor(spec: Spec) -> Document:
    return {"name": spec.name, "datatype": spec.datatype, "shape": [-1, *spec.shape]}


def _parameters(contract: Contract) -> Document:
    """Return what Triton's terms have no word for: the names of columns, by input, as JSON."""
    columns = {spec.name: spec.columns for spec in contract.inputs if spec.columns}
    return {"parameters": {"columns": {"string_value": json.dumps(columns)}}} if columns else {}


def _configured(spec: Spec) -> Document:
    """Return a tensor as Triton's configuration has it: without rows, and never without a dimension."""
    kind = "TYPE_STRING" if spec.datatype == "BYTES" else f"TYPE_{spec.datatype}"
    if spec.shape:
        return {"name": spec.name, "data_type": kind, "dims": list(spec.shape)}
    return {"name": spec.name, "data_type": kind, "dims": [1], "reshape": {"shape": []}}


# At most what a signed integer of 64 bits holds.
_NUMBERED = re.compile(r"v?(0|[1-9]\d{0,17})", re.ASCII)


@dataclass(slots=True)
class _Duration:
    count: int = 0
    ns: int = 0

    def add(self, count: int, seconds: float) -> None:
        self.count += count
        self.ns += round(seconds * 1e9)

    def document(self) -> dict[str, int]:
        return {"count": self.count, "ns": self.ns}


@dataclass(slots=True)
class _Version:
    """What was seen of one version, over all its variants and sources."""

    last_s: float = 0.0
    rows: int = 0
    executions: float = 0.0
    success: _Duration = field(default_factory=_Duration)
    fail: _Duration = field(default_factory=_Duration)
    queue: _Duration = field(default_factory=_Duration)
    compute: _Duration = field(default_factory=_Duration)
    cache_hit: _Duration = field(default_factory=_Duration)

    def add(self, key: Key, series: Series, ended_s: float) -> None:
        count, seconds = series.durations.count(), series.durations.sum_s
        self.last_s = max(self.last_s, ended_s)
        if key.code != Code.OK:
            self.fail.add(count, seconds)
            return
        self.success.add(count, seconds)
        # As in Triton, a stored answer has been through the queue without waiting: perf_analyzer looks there.
        self.queue.add(count, series.queue_us / 1e6)
        if key.served_from in (ServedFrom.CACHE, ServedFrom.STALE):
            self.cache_hit.add(count, seconds)
        if series.rows:
            self.rows += series.rows
            self.executions += series.executions
            self.compute.add(count, series.compute_us / 1e6)

    def document(self, model: str, version: str) -> dict[str, Any]:
        nothing = {"count": self.compute.count, "ns": 0}  # not distinguished: within compute_infer
        return {
            "name": model,
            "version": version,
            "last_inference": round(self.last_s * 1000),
            "inference_count": self.rows,
            "execution_count": round(self.executions),
            "inference_stats": {
                "success": self.success.document(),
                "fail": self.fail.document(),
                "queue": self.queue.document(),
                "compute_input": nothing,
                "compute_infer": self.compute.document(),
                "compute_output": nothing,
                "cache_hit": self.cache_hit.document(),
                "cache_miss": {"count": 0, "ns": 0},
            },
            "batch_stats": [],
        }


def number_of(version: str) -> str:
    """Return the number that a version's name says, as Triton has it, or the name: `v3` gives 3.

    perf_analyzer reads a number, and ends at a name.
    """
    found = _NUMBERED.fullmatch(version)
    return found.group(1) if found is not None else version


def statistics_of(asked: Iterable[tuple[str, str]], counters: Counters) -> list[dict[str, Any]]:
    """Return the statistics of each (model, version) asked for, zeros for one that answered nothing yet."""
    seen = {pair: _Version() for pair in asked}
    for key, one in counters.series.items():
        version = seen.get((key.model, key.version))
        if version is not None:
            version.add(key, one, counters.unix_s(one.latest))
    return [version.document(pair[0], _shown(pair, seen)) for pair, version in seen.items()]


def _shown(pair: tuple[str, str], among: Collection[tuple[str, str]]) -> str:
    """Return how a version is called: by its number, unless another one of the model has that for a name."""
    number = number_of(pair[1])
    return pair[1] if (pair[0], number) in among else number
