"""`python -m headrace_scorer.engine.run`: shards on stdin, what became of each on stdout, scored by actors of Ray.

Ray lives as long as this process: its own one, on loopback, or an existing cluster by its address.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from headrace_scorer.decisions.shards import Shard
from headrace_scorer.engine.messages import RunAnswer, RunOrder, from_json
from headrace_scorer.engine.protocol import Failed, begin, of, say

# A shard whose process is lost this often is what kills it.
MAX_LOSSES = 3
# A cluster that grows with what is wanted of it takes minutes to; then the job says what it waits for.
START_S = 300.0
REACH_S = 10.0
# Set before Ray is imported: everything listens on loopback.
_OWN_RAY = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_DISABLE_MEMORY_MONITOR": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "0",
    # Niceness that Ray gives its workers beyond that of this process, which is behind others already.
    "RAY_worker_niceness": "0",
}


def main() -> None:
    """Score the shards of one order."""
    begin()
    # What Ray prints is not an answer.
    answers = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = os.fdopen(answers, "w")
    order = from_json(RunOrder, sys.stdin.buffer.readline())
    try:
        with _ray(order) as ray:
            Pool(ray, order).run()
    except Failed as error:
        say(of(error))


class Pool:
    """Actors that score, each one shard at a time; one that is lost is replaced. Nothing waits for one that has not
    begun while others can do the work.
    """

    def __init__(self, ray: Any, order: RunOrder) -> None:
        from headrace_scorer.engine.actors import ShardActor

        self._ray, self._order = ray, order
        self._kind = ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0)(ShardActor)
        self._losses: dict[int, int] = {}
        self._failed_starts = 0
        self._starting: dict[Any, Any] = {}
        self._idle: list[Any] = []

    def run(self) -> None:
        """Score everything. Raises Failed."""
        waiting = deque(self._order.shards)
        # All at once: each takes seconds to start.
        for _ in range(min(self._order.workers, len(waiting))):
            self._start()
        batch_rows = self._order.batch_rows or self._measured(waiting[0])
        say(RunAnswer(batch_rows=batch_rows))
        running: dict[Any, tuple[Any, Shard]] = {}
        while waiting or running:
            while waiting and self._idle:
                actor, shard = self._idle.pop(), waiting.popleft()
                running[actor.score.remote(shard, batch_rows)] = (actor, shard)
            done = self._next([*running, *(self._starting if waiting else ())], busy=bool(running))
            if done in self._starting:
                self._begun(done)
                continue
            actor, shard = running.pop(done)
            try:
                self._settle(self._ray.get(done))
                self._idle.append(actor)
            except self._ray.exceptions.RayActorError as error:
                self._lost(shard, error)
                waiting.append(shard)
                self._start()

    def _start(self) -> None:
        actor = self._kind.remote(self._order.work, self._order.checked, self._order.folder)
        self._starting[actor.begun.remote()] = actor

    def _next(self, awaited: list[Any], *, busy: bool) -> Any:
        """Return what is done first. Raises Failed when no actor begins, and none is at work."""
        done, _ = self._ray.wait(awaited, num_returns=1, timeout=None if busy else START_S)
        if not done:
            message = f"no process began to score within {START_S:g} s: Ray has no processor free, or no machine"
            raise Failed("RAY_UNAVAILABLE", message, transient=True)
        return done[0]

    def _begun(self, done: Any) -> None:
        """Take an actor that has begun; another one is started for one that could not."""
        actor = self._starting.pop(done)
        try:
            self._ray.get(done)
            self._idle.append(actor)
            self._failed_starts = 0
        except self._ray.exceptions.RayActorError as error:
            self._failed_starts += 1
            if self._failed_starts >= MAX_LOSSES:
                # The last line of a trace says what was raised. A machine that is lost costs several starts at once,
                # and what a machine lacks is no fault of the job's: it waits.
                why = str(error).strip().splitlines()[-1:] or [type(error).__name__]
                message = f"processes that score do not start ({why[0][:300]}): look at the machines of Ray"
                raise Failed("RAY_UNAVAILABLE", message, transient=True) from None
            self._start()

    def _measured(self, shard: Shard) -> int:
        while True:
            while not self._idle:
                self._begun(self._next(list(self._starting), busy=False))
            try:
                answer = self._ray.get(self._idle[-1].measured.remote(shard))
            except self._ray.exceptions.RayActorError as error:
                self._idle.pop()
                self._lost(shard, error)
                self._start()
                continue
            self._raise(answer)
            return answer.batch_rows

    def _settle(self, answer: RunAnswer) -> None:
        self._raise(answer)
        say(answer)

    def _raise(self, answer: RunAnswer) -> None:
        if answer.failure:
            raise Failed(answer.failure, answer.reason, transient=answer.transient)

    def _lost(self, shard: Shard, error: Exception) -> None:
        self._losses[shard.number] = losses = self._losses.get(shard.number, 0) + 1
        if losses >= MAX_LOSSES:
            message = (
                f"the process that scored shard {shard.number} of {shard.key} was lost {losses} times ({_said(error)})"
            )
            help_ = "give it more memory, or set options.batch_rows or options.shard_rows lower, and retry"
            raise Failed("WORKER_LOST", f"{message}: {help_}")


@contextmanager
def _ray(order: RunOrder) -> Iterator[Any]:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if order.ray_address:
        _reach(order.ray_address)
        os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "3")  # of twelve seconds each
    else:
        # Other users of this machine, without the token, cannot use this Ray.
        os.environ.update(_OWN_RAY, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))
    import ray

    try:
        if order.ray_address:
            ray.init(order.ray_address, logging_level=logging.ERROR, log_to_driver=False, namespace=order.work.job)
        else:
            ray.init(
                "local",  # whatever RAY_ADDRESS says
                num_cpus=order.workers,
                include_dashboard=False,
                object_store_memory=order.object_store_bytes,
                # The path of a socket has at most 107 characters, and Ray's adds 70.
                _temp_dir=_short(order.folder),
                _node_ip_address="127.0.0.1",
                logging_level=logging.ERROR,
                log_to_driver=False,
            )
    except Exception as error:  # of many kinds: no cluster, no room, a version that differs
        raise Failed("RAY_UNAVAILABLE", f"Ray does not start: {_said(error)}", transient=True) from None
    try:
        yield ray
    finally:
        ray.shutdown()


def _reach(address: str) -> None:
    """Raise Failed unless the address of a cluster's head accepts connections: Ray itself retries for minutes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not host or not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), REACH_S).close()
    except OSError as error:
        message = f"Ray cannot be reached at {address} ({error.strerror or error}): look at the head of the cluster"
        raise Failed("RAY_UNAVAILABLE", message, transient=True) from None


def _short(folder: str) -> str | None:
    path = str(Path(folder, "ray"))
    return path if len(path) <= 35 else None


def _said(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return lines[0][:300]


if __name__ == "__main__":
    main()
