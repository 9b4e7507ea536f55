"""`make demo-rollout`: a version as a shadow, three that are taken back by themselves, one promoted on evidence."""

from __future__ import annotations

import contextlib
import itertools
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import numpy as np
from headrace.rollout.v1 import rollout_pb2 as pb
from headrace_client import Client, HeadraceError

from examples.rollouts.models import ENTRIES, Version, versions
from examples.story import Story, told
from examples.versions import Registered, begin_with, register_once

MODEL = "prices"
RATE = 100.0
METRICS = {"accuracy": 0.95, "latency_p99_ms": 2.0}
# A step at 10 percent, one at 50, one at 100: as short as evidence allows at this rate, for a demo has no days.
SHARES = (10, 50, 100)
MARGIN_PERCENT = 10.0
# Of answers of the shadow with those that callers got: three seconds of them.
PAIRS = 300


def tell(story: Story, client: Client) -> None:
    """Roll four versions out under load, and say what became of each."""
    present, *new = versions()
    story.title("Rollouts: change versions without fear")
    with story.step("five versions of a price list") as outcome, tempfile.TemporaryDirectory() as folder:
        registered = [_registered(client, version, Path(folder)) for version in (present, *new)]
        first, *names = [one.version for one in registered]
        how, model = begin_with(client, MODEL, first)
        client.routes.await_epoch(MODEL, model.epoch, timeout=150)
        outcome(f"{sum(one.created for one in registered)} registered, {how}")
    rows = []
    with _traffic(client) as answered:
        _shadowed(story, client, names[-1])
        story.say(f"{RATE:.0f} requests a second; each version gets {', '.join(f'{one} %' for one in SHARES)} in turn")
        for version, name in zip(new, names, strict=True):
            with story.step(f"{version.name}: {version.about}") as outcome:
                before = sum(answered.values())
                rollout = _rolled_out(client, name)
                word = pb.Rollout.State.Name(rollout.state).removeprefix("STATE_").replace("_", " ").lower()
                outcome(f"{word}: {rollout.reason}")
            bad = rollout.bad_time.ToTimedelta().total_seconds() if rollout.HasField("bad_time") else None
            told_s = "-" if bad is None else f"{bad:.1f} s"
            rows.append((version.name, word, told_s, str(sum(answered.values()) - before)))
    columns = ("version", "what became of it", "bad answers for", "requests meanwhile")
    story.table(columns, rows, words=columns[:2])
    story.say(f"{answered['failed']} of {sum(answered.values())} requests failed")
    story.line("Watch one yourself", f"headrace rollouts history {MODEL}")


def _shadowed(story: Story, client: Client, version: str) -> None:
    """Let a version answer copies of the requests, and write down how its answers differ."""
    alone = pb.RolloutPolicy(strategy=pb.RolloutPolicy.STRATEGY_SHADOW)
    alone.shadow.dwell.FromTimedelta(timedelta(seconds=2))
    alone.shadow.min_pairs, alone.shadow.then = PAIRS, pb.RolloutPolicy.Shadow.THEN_NOTHING
    with story.step("v2 as a shadow: it gets copies of the requests, and gets no requests") as outcome:
        started = client.rollouts.start(MODEL, version, policy=alone, reason="demo")
        client.rollouts.watch(started.name, lambda _: None, timeout=180)
        ended = client.rollouts.get(started.name)
        report = client.monitor.shadow_report(MODEL, version)
        outcome(ended.reason)
    for one in report.comparisons:
        story.say(
            f"{one.pairs:,} pairs: half of the prices differ by {one.relative_difference.p50:.1%} or more, the largest "
            f"by {one.largest_difference:.2f}; ranks agree to {one.rank_correlation:.4f}"
        )


def policy() -> pb.RolloutPolicy:
    """Return a canary that is as quick as evidence is."""
    made = pb.RolloutPolicy(strategy=pb.RolloutPolicy.STRATEGY_CANARY, margin_percent=MARGIN_PERCENT)
    for share in SHARES:
        made.steps.add(percent=share).dwell.FromTimedelta(timedelta(seconds=2))
    return made


def _rolled_out(client: Client, version: str) -> pb.Rollout:
    """Roll a version out and return how that ended."""
    started = client.rollouts.start(MODEL, version, policy=policy(), reason="demo")
    client.rollouts.watch(started.name, lambda _: None, timeout=180)
    return client.rollouts.get(started.name)


def _registered(client: Client, version: Version, folder: Path) -> Registered:
    path = version.written(folder)
    return register_once(
        client, MODEL, version.name, path, lambda name: client.versions.register(MODEL, name, path, metrics=METRICS)
    )


@contextlib.contextmanager
def _traffic(client: Client) -> Iterator[dict[str, int]]:
    """Ask for predictions until the block ends; yields how many were answered, and failed."""
    counts, stop, lock = {"answered": 0, "failed": 0}, threading.Event(), threading.Lock()

    def ask(number: int) -> None:
        index = np.array([number % ENTRIES], np.int64)
        try:
            client.predict(MODEL, {"index": index}, user_id=f"user-{number % 500}", max_age=timedelta(), timeout=8)
            name = "answered"
        except HeadraceError:
            name = "failed"
        with lock:
            counts[name] += 1

    def send(askers: ThreadPoolExecutor) -> None:
        began = time.monotonic()
        for number in itertools.count():
            if stop.wait(max(0.0, began + number / RATE - time.monotonic())):
                return
            askers.submit(ask, number)

    with ThreadPoolExecutor(16) as askers:
        sending = threading.Thread(target=send, args=(askers,), name="traffic")
        sending.start()
        try:
            yield counts
        finally:
            stop.set()
            sending.join()


if __name__ == "__main__":
    sys.exit(told(lambda client: tell(Story(), client)))
