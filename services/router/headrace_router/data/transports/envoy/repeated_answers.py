"""Answers that Envoy's workers give again without this process: `deploy/envoy/filter_bridge/repeated_answers.c`.

This side decides. A request that memory has answered, and that comes once more byte for byte, has its answer repeated
from then on: until the answer's time or the token's ends, or anything changes that an answer depends on. Every 10 ms
what was repeated is counted and recorded here, and the clients' rates are settled.
"""

from __future__ import annotations

import asyncio
import ctypes
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Protocol

import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from headrace_router.data.answer.answer import Answer, ServedFrom
from headrace_router.data.lookup.metrics import MEMORY
from headrace_router.data.request.request import Call, Request, ResolvedRequest, Tensors
from headrace_router.data.tables.contract import Contract
from headrace_router.data.tables.decisions.repetition import RecentKeys
from headrace_router.data.transports.envoy.answer_leases import Lease, Leases, Payer, Rates
from headrace_router.data.transports.envoy.answer_template import LEAST_ID, MOST_ID, Template, marks_for, template_of
from headrace_router.data.transports.envoy.bridged_request import BridgedRequest
from headrace_router.data.transports.envoy.filter_bridge import FilterBridge
from headrace_router.rules import NO_ATTRIBUTES

log = structlog.get_logger()

# As in repeated_answers.c.
_ARMED = struct.Struct("=qqIIIIIIII")
_NOTE = struct.Struct("=qIIII36s40sI")
MOST_ENTRIES, MOST_NOTES = 32_768, 8192
_HOLE_SHIFT = 28
MOST_BODY_BYTES, MOST_ANSWER_BYTES = 64 * 1024, 64 * 1024
# Of an entry, besides two copies of its body and of its answer. With 64, 192 and 1,000 numbers in a request 5,000
# entries took 1.8, 3.0 and 10.7 KB each (VmRSS).
ENTRY_BYTES = 1200
# What was repeated is noted so often: all of a longer time at once would hold requests up for milliseconds.
EVERY_S, IDLE_EVERY_S = 0.01, 0.05
# What was repeated so lately makes no room for another.
IN_USE_S = 1.0
# So many entries are looked at in that time, whether they have expired.
LOOKED_AT = 16
# Requests that are remembered to see whether they come again.
RECENT_REQUESTS = 65_536
# Older ones would not fit into the places for ages.
OLDEST_S = 30 * 86_400
_FRESH = (ServedFrom.CACHE, ServedFrom.PRECOMPUTED)

Compared = tuple[bytes, bytes, bytes]
"""What requests are compared by: the numbers of their headers, their values, and the body."""
_NO_TENSORS = Tensors((), ())


class Sources(Rates, Protocol):
    """What the data plane knows of an answer and its caller."""

    def fresh(self, resolved: ResolvedRequest, found: Answer) -> tuple[float, float]:
        """Return when an answer from memory was computed and until when it may be given, on the loop's clock."""
        ...

    def valid_for_s(self, authorization: bytes | None) -> float:
        """Return for how long a token is good; nothing or less for one that is not believed."""
        ...

    def note(self, resolved: ResolvedRequest, call: Call, found: Answer, ended: float) -> None:
        """Count and record an answer. ended: on the counters' clock."""
        ...

    def pass_over(self, requests: int) -> None:
        """Have the next samples drawn as if so many requests had been looked at."""
        ...


class _Headers:
    """Headers that requests have in common, by which the filter has them once. entries: how many have them."""

    __slots__ = ("entries", "packed")

    def __init__(self, packed: bytes) -> None:
        self.packed, self.entries = packed, 0


class _Entry:
    """An answer that is repeated. first: what is noted of the request that it was given to. found: an answer that
    differs by outputs, ids and times alone. used_at: when it was last given, about.
    """

    __slots__ = ("first", "found", "headers", "key", "number", "outputs", "size_bytes", "until", "used_at")

    def __init__(
        self, number: int, key: int, headers: _Headers, first: ResolvedRequest, found: Answer, outputs: bytes,
        until: float, size_bytes: int, now: float,
    ) -> None:  # fmt: skip
        self.number, self.key, self.headers, self.first = number, key, headers, first
        self.found, self.outputs = found, outputs
        self.until, self.size_bytes, self.used_at = until, size_bytes, now


class RepeatedAnswers:
    """Has answers repeated; a prometheus_client collector. `observe` is for the predictor. most_bytes: of all."""

    def __init__(
        self, bridge: FilterBridge, sources: Sources, loop: asyncio.AbstractEventLoop, *, most_bytes: int
    ) -> None:
        self._most_bytes = most_bytes
        self._bridge, self._functions, self._sources, self._loop = bridge, bridge.functions, sources, loop
        self._recent = RecentKeys(RECENT_REQUESTS)
        self._entries: dict[int, _Entry] = {}
        """In the order of their last use, by a hash of what is compared: two with one hash, and one is not repeated."""
        self._by_number: dict[int, _Entry] = {}
        self._headers: dict[bytes, _Headers] = {}
        self._alike: dict[tuple[object, ...], tuple[Answer, Call]] = {}
        """What entries have in common."""
        self._free = list(range(MOST_ENTRIES))
        self._leases = Leases(bridge.functions, sources)
        self._size_bytes = self.repeated = 0
        self._full_until = 0.0
        self._notes = ctypes.create_string_buffer(MOST_NOTES * _NOTE.size)
        self._timer: asyncio.TimerHandle | None = None

    def observe(self, resolved: ResolvedRequest, found: Answer) -> None:
        """Consider an answer, which is about to be rendered."""
        if found.layer != MEMORY or found.served_from not in _FRESH or found.fallback_step or found.degraded_reason:
            return
        bridged, call = self._bridge.current, resolved.call
        if (
            bridged is None
            or bridged.request_id() != call.request_id
            or not LEAST_ID <= len(call.request_id) <= MOST_ID
        ):
            return
        if not _alike(resolved) or len(bridged.whole) > MOST_BODY_BYTES:
            return
        if self._loop.time() < self._full_until:  # to look whether it is there already costs more than it gains
            self._leases.renew_spent(_payer(resolved))
            return
        compared = bridged.compared()
        whole = b"".join(compared)
        if self._recent.first(whole):
            return
        present = self._entries.get(hash(whole))
        if present is not None:
            if present.until > self._loop.time():  # it came here as a sample, or beyond what the client may
                self._leases.of(_payer(present.first))
                return
            self._drop(present)
        self._begin(bridged, compared, resolved, found)

    def _begin(self, bridged: BridgedRequest, compared: Compared, resolved: ResolvedRequest, found: Answer) -> None:
        """Put marks into an answer, and have it armed once it is rendered."""
        computed_at, until = self._sources.fresh(resolved, found)
        now = self._loop.time()
        until = min(until, computed_at + OLDEST_S, now + self._sources.valid_for_s(bridged.authorization))
        lease = self._leases.of(_payer(resolved))
        if until <= now or lease is None:
            return
        request_id, age_ms = found.request_id, found.age_ms
        marks = marks_for(found.outputs, request_id, found.prediction_id)
        found.request_id, found.age_ms = marks.request_id, marks.age_ms

        def arm(rendered: bytes) -> bytes:
            found.request_id, found.age_ms = request_id, age_ms
            template = template_of(rendered, marks)
            if template.whole:
                self._arm(template, compared, resolved, found, computed_at, until, lease)
            return template.filled(request_id, found.prediction_id, age_ms)

        self._bridge.finish_with(arm)

    def _arm(
        self, template: Template, compared: Compared, resolved: ResolvedRequest, found: Answer, computed_at: float,
        until: float, lease: Lease,
    ) -> None:  # fmt: skip
        shape, values, body = compared
        packed_headers = shape + values
        key, size = hash(packed_headers + body), 2 * (len(body) + len(template.answer)) + ENTRY_BYTES
        if len(template.answer) > MOST_ANSWER_BYTES:
            return
        now = self._loop.time()
        while not self._free or self._size_with(size, packed_headers) > self._most_bytes:
            oldest = next(iter(self._entries.values()), None)
            if oldest is None or now < min(oldest.used_at + IN_USE_S, oldest.until):
                self._full_until = now + IN_USE_S
                return  # where more come again than there is room for, to replace one by another gains nothing
            self._drop(oldest)
        number = self._free[-1]
        packed = b"".join(
            (
                _ARMED.pack(
                    int(computed_at * 1000), int(until * 1000), number, lease.number, len(found.request_id), len(shape),
                    len(values), len(body), len(template.answer), len(template.holes),
                ),
                packed_headers, body, template.answer,
                *(struct.pack("=I", kind << _HOLE_SHIFT | at) for kind, at in template.holes),
            )
        )  # fmt: skip
        if not self._functions.bridge_arm(packed, len(packed)):
            return
        self._free.pop()
        first, of = self._reduced(resolved, found)
        self._size_bytes = self._size_with(size, packed_headers)
        headers = self._headers.setdefault(packed_headers, _Headers(packed_headers))
        entry = _Entry(number, key, headers, first, of, found.outputs, until, size, now)
        self._entries[key] = self._by_number[number] = entry
        headers.entries += 1
        if self._timer is None:
            self._note()  # which has answers repeated for a second
            self._timer = self._loop.call_later(EVERY_S, self._settle)

    def _size_with(self, size_bytes: int, packed_headers: bytes) -> int:
        """Return the bytes of all with one more entry."""
        return self._size_bytes + size_bytes + (0 if packed_headers in self._headers else 2 * len(packed_headers))

    def _reduced(self, resolved: ResolvedRequest, found: Answer) -> tuple[ResolvedRequest, Answer]:
        """Return what is noted of a request and its answer: all else of them would be kept for long."""
        request, caller = resolved.request, resolved.call.caller
        key = (caller, found.model, found.version, found.variant, found.rule, found.generation, found.served_from)
        if key not in self._alike:
            of = replace(found, outputs=b"", request_id="", prediction_id="")
            self._alike[key] = of, Call(caller, "", resolved.call.deadline)
        of, call = self._alike[key]
        asked = Request(
            of.model, _unread, user_id=request.user_id, entity_id=request.entity_id,
            attributes=dict(request.attributes) if request.attributes else NO_ATTRIBUTES, priority=request.priority,
        )  # fmt: skip
        table, variant, layout = resolved.table, resolved.variant, resolved.layout
        inputs = tuple(resolved.inputs)
        return ResolvedRequest(table, variant, asked, call, _NO_TENSORS, layout, inputs, resolved.outputs), of

    def forget(self) -> None:
        """Have nothing repeated that was until now. When this returns, none of it is on its way."""
        if not self._entries:
            return
        self._functions.bridge_forget()
        self._note()
        self._clear()

    def close(self) -> None:
        """Repeat nothing any more."""
        self.forget()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._leases.renew(granting=False)

    def collect(self) -> Iterator[Metric]:
        """Yield the metric families. Called by prometheus_client."""
        yield CounterMetricFamily(
            "headrace_router_repeated_answers", "Answers that Envoy's workers gave again.", value=self.repeated
        )
        yield GaugeMetricFamily(
            "headrace_router_repeatable_answers", "Answers that they may give again.", value=len(self._entries)
        )

    def _clear(self) -> None:
        self._free.extend(self._by_number)
        for known in (self._entries, self._by_number, self._headers, self._alike):
            known.clear()
        self._size_bytes, self._full_until = 0, 0.0

    def _drop(self, entry: _Entry) -> None:
        self._functions.bridge_drop(entry.number)
        self._note()  # what was repeated of it, before another gets its number
        del self._entries[entry.key], self._by_number[entry.number]
        self._free.append(entry.number)
        self._size_bytes -= entry.size_bytes
        headers = entry.headers
        headers.entries -= 1
        if not headers.entries:
            del self._headers[headers.packed]
            self._size_bytes -= 2 * len(headers.packed)

    def _drop_expired(self) -> None:
        now = self._loop.time()
        for entry in list(islice(self._entries.values(), LOOKED_AT)):  # the least recently used
            if entry.until <= now:
                self._drop(entry)

    def _settle(self) -> None:
        """Settle what was repeated; again as long as anything is."""
        self._timer, before = None, self.repeated
        try:
            self._note()
            self._drop_expired()
            self._leases.renew(granting=bool(self._entries))
        except Exception:  # none of it may be repeated uncounted
            log.exception("repeated answers not counted")
            self._functions.bridge_forget()
            self._clear()
        if self._entries:
            idle = self.repeated == before
            self._timer = self._loop.call_later(IDLE_EVERY_S if idle else EVERY_S, self._settle)
        else:
            self._leases.clear()

    def _note(self) -> None:
        """Count and record what was repeated since the last time."""
        size = self._functions.bridge_repeated(ctypes.addressof(self._notes))
        if not size:
            return
        seen = Counter[int]()
        for note in _NOTE.iter_unpack(memoryview(self._notes)[:size]):
            began_ns, took_ns, number, age_ms, id_bytes, prediction_id, request_id, _ = note
            entry = self._by_number[number]
            seen[number] += 1
            first, of = entry.first, entry.found
            began = began_ns / 1e9
            call = Call(first.call.caller, request_id[:id_bytes].decode(), first.call.deadline, began)
            found = Answer(
                entry.outputs, of.served_from, of.served, age_ms, of.layer, model=of.model, contract=of.contract,
                version=of.version, variant=of.variant, rule=of.rule, generation=of.generation,
                request_id=call.request_id, prediction_id=prediction_id.decode(), took_s=took_ns / 1e9,
            )  # fmt: skip
            self._sources.note(first, call, found, began + found.took_s)
        now = self._loop.time()
        for number, times in seen.items():
            entry = self._by_number[number]
            entry.used_at = now
            self._entries[entry.key] = self._entries.pop(entry.key)
            self._leases.use(_payer(entry.first), times)
        total = seen.total()
        self.repeated += total
        self._sources.pass_over(total)


def _unread(_contract: Contract, _max_rows: int) -> Tensors:
    return _NO_TENSORS


def _payer(resolved: ResolvedRequest) -> Payer:
    return resolved.call.caller.client, resolved.table.model


def _alike(resolved: ResolvedRequest) -> bool:
    """Return whether all requests with the same bytes are answered alike, and nothing else is wanted of this one."""
    request, call = resolved.request, resolved.call
    return (
        not request.request_id
        and request.max_age_s is None
        and request.timeout_s is None
        and not request.explain
        and resolved.trace is None
        and not call.sampled
        and call.marks is None
        and resolved.table.assigned_alike(request.user_id, request.entity_id)
    )
