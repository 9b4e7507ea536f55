"""The load generator: a closed loop (so many requests in flight) and an open one (requests at given times).

One thread, plain sockets, no event loop library: it shares two cores with what it measures, so every microsecond of
its own is one that the server lacks. Its CPU time is a part of what it reports.
"""

from __future__ import annotations

import contextlib
import gc
import select
import time
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from time import perf_counter

from benchmarks.load.calls import Call
from benchmarks.load.connection import Answered, Connection, unfinished
from benchmarks.load.endings import OK, UNSENT
from benchmarks.load.workload import Workload

# How long answers are awaited once the time is up.
PATIENCE_S = 15.0
_TICK_S = 0.2


@dataclass(frozen=True, slots=True)
class Target:
    """Where to send. tokens: connections take them in turn; empty means no authorization."""

    address: tuple[str, int]
    tokens: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """What one run saw. latencies_s, refusals_s: of right answers and of refusals, in the order of their end.

    outcomes: what ended in the time.
    bad: what ended before or after it and was not OK. cpu_s: the generator's own. in_time: right answers within the
    time; an open loop also counts those that came later. behind_s: how late an open loop looked at its times, at most;
    what the generator itself adds to latencies.
    """

    seconds: float
    latencies_s: array[float]
    refusals_s: array[float]
    outcomes: Counter[str]
    bad: Counter[str]
    cpu_s: float
    in_time: int
    behind_s: float = 0.0
    right: int = field(init=False)
    answered: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "right", self.outcomes[OK])
        object.__setattr__(self, "answered", sum(self.outcomes.values()))


class Generator:
    """Connections to one target that ask one call for one workload."""

    def __init__(self, target: Target, call: Call, workload: Workload, connections: int) -> None:
        self._seen = Answered()
        self._connections: list[Connection] = []
        authority = f"{target.address[0]}:{target.address[1]}"
        try:
            for number in range(connections):
                token = target.tokens[number % len(target.tokens)] if target.tokens else None
                headers = call.headers(authority, token)
                self._connections.append(Connection(target.address, call, headers, workload, self._seen))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Generator:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        for one in self._connections:
            one.close()

    def closed(self, streams: int, seconds: float, *, warm_up_s: float = 0.0) -> Result:
        """Keep so many requests in flight on each connection."""
        with _without_collections():
            return self._closed(streams, seconds, warm_up_s)

    def open(self, times_s: Sequence[float]) -> Result:
        """Send at these times from now on, whatever becomes of it; latencies count from then."""
        with _without_collections():
            return self._open(times_s)

    def once(self, streams: int) -> Result:
        """Send what a finite workload has, and await all answers."""
        return self.closed(streams, float("inf"))

    def _closed(self, streams: int, seconds: float, warm_up_s: float) -> Result:
        self._begin(counting=warm_up_s == 0)
        begun = perf_counter()
        for one in self._connections:
            one.again = True
            one.backlog.extend([begun] * streams)
            one.pump()
        if warm_up_s:
            self._until(begun + warm_up_s)
            self._seen.counting = True
        begun, cpu_s = perf_counter(), time.process_time()
        self._until(begun + seconds)
        took_s, cpu_s = perf_counter() - begun, time.process_time() - cpu_s
        return self._end(took_s, cpu_s)

    def _open(self, times_s: Sequence[float]) -> Result:
        self._begin(counting=True)
        connections, behind_s, following, count = self._connections, 0.0, 0, len(times_s)
        begun, cpu_s = perf_counter() + 0.01, time.process_time()
        due = [begun + one for one in times_s]
        due.append(float("inf"))
        while following < count:
            now = perf_counter()
            if due[following] <= now:
                behind_s = max(behind_s, now - due[following])
                touched = set()
                while due[following] <= now:
                    one = connections[following % len(connections)]
                    one.backlog.append(due[following])
                    touched.add(one)
                    following += 1
                for one in touched:
                    one.pump()
            self._turn(max(0.0, min(due[following] - perf_counter(), _TICK_S)) if following < count else 0.0)
        # What was sent counts whenever it is answered: an open loop has no other way to see lateness.
        return self._end(perf_counter() - begun, time.process_time() - cpu_s, counting=True, behind_s=behind_s)

    def _begin(self, *, counting: bool) -> None:
        seen = self._seen
        seen.latencies_s, seen.refusals_s = array("d"), array("d")
        seen.outcomes, seen.bad, seen.counting = Counter(), Counter(), counting

    def _end(self, took_s: float, cpu_s: float, *, counting: bool = False, behind_s: float = 0.0) -> Result:
        seen = self._seen
        seen.counting, in_time = counting, seen.outcomes[OK]
        for one in self._connections:
            one.again = False
            if not counting:
                one.backlog.clear()
        self._until(perf_counter() + PATIENCE_S, while_in_flight=True)
        for one in self._connections:
            seen.bad[UNSENT] += len(one.backlog)
            one.backlog.clear()
        unfinished(self._connections, seen)
        return Result(took_s, seen.latencies_s, seen.refusals_s, +seen.outcomes, +seen.bad, cpu_s, in_time, behind_s)

    def _until(self, end: float, *, while_in_flight: bool = False) -> None:
        while (now := perf_counter()) < end:
            finite = while_in_flight or end == float("inf")
            if finite and not any(one.flights or one.backlog for one in self._connections):
                return
            self._turn(min(_TICK_S, end - now))

    def _turn(self, timeout_s: float) -> None:
        """Wait until something can be read or written, and do it."""
        # select, because it waits in microseconds; there are few connections.
        writing = [one for one in self._connections if one.out]
        readable, writable, _ = select.select(self._connections, writing, [], timeout_s)
        for one in writable:
            one.write(b"")
        for one in readable:
            one.read()
            one.pump()


@contextlib.contextmanager
def _without_collections() -> Iterator[None]:
    """Nothing here makes cycles; a collection would only stop the clock of every request in flight."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
