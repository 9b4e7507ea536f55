"""`make demo-experiment`: the better of three feeds is found, the harmful one stopped; an A/A test stays silent."""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import numpy as np
from headrace.monitor.v1 import experiment_pb2 as pb
from headrace.rollout.v1 import rollout_pb2
from headrace_client import Client, Prediction, Variant, Version
from headrace_observe import Outcome

from examples.rollouts.models import ENTRIES, look_up
from examples.story import SERVING_TIMEOUT_S, Story, headrace, told
from examples.versions import begin_with, register_once

FEED, SAME = "feed", "feed-same"
# Whether a user clicks, and asks for money back, by variant: what no model can know beforehand. Made up.
CLICKS = {"popular": 0.10, "personal": 0.20, "greedy": 0.14, "again": 0.10}
REFUNDS = {"popular": 0.02, "personal": 0.02, "greedy": 0.14, "again": 0.02}
SHARES = {"popular": 80.0, "personal": 10.0, "greedy": 10.0}
USERS = 5_000
METRICS = {"accuracy": 0.95, "latency_p99_ms": 2.0}
_KNOWN_WITHIN_S, _QUIET_S = 45.0, 11.0


def tell(story: Story, client: Client) -> None:
    """Run both experiments over the same users, and say what became of each."""
    name = f"demo-{int(time.time())}"
    story.title("Experiments: which feed is better for people? (users and what they do are made up)")
    with story.step("a feed in three versions, 80, 10 and 10 %; beside it one version against itself") as outcome:
        versions = _served(client)
        outcome(f"{', '.join(versions)}, and A/A of {versions[0]}")
    with story.step("two experiments: clicks decide, refunds are a guardrail") as outcome:
        for model, shares in ((FEED, SHARES), (SAME, {"popular": 50.0, "again": 50.0})):
            client.experiments.create(_experiment(f"models/{model}/experiments/{name}", shares))
            client.experiments.run(model, name)
        outcome("their routes are theirs until they end")
    with story.requests(f"{USERS:,} users look at both", 2 * USERS) as advance:
        known = {model: _asked(client, model, advance) for model in (FEED, SAME)}
    with story.step("what they did becomes known") as outcome:
        told_of = sum(_recorded(client, model, answers) for model, answers in known.items())
        found = {model: _analysed(client, model, name) for model in known}
        outcome(f"{told_of:,} outcomes")
    for model, what in ((FEED, "three feeds"), (SAME, "A/A")):
        story.say(f"[bold]{what}[/]: {found[model].summary}")
        story.table(("metric", "variant", "finding", "effect", "interval at every look"), _rows(found[model]))
    with story.step("stop the one that harms, and roll the better one out") as outcome:
        policy = rollout_pb2.RolloutPolicy(strategy=rollout_pb2.RolloutPolicy.STRATEGY_BIG_BANG)
        ends = {"promote": "personal", "anyway": True, "policy": policy}
        done = client.experiments.conclude(FEED, name, reason="demo: greedy harms, personal is better", **ends)
        client.rollouts.watch(done.rollout.name, lambda _: None, timeout=SERVING_TIMEOUT_S)
        client.experiments.conclude(SAME, name, reason="demo: nothing to find, and nothing found")
        outcome(f"{', '.join(done.stopped_variants)} have no traffic; {done.rollout.version} serves all of it")
    story.line("How the effect came about", f"{headrace()} experiments report {FEED} {name} --html feed.html")


def _served(client: Client) -> list[str]:
    """Register three versions, and split the traffic of both models."""
    for model in (FEED, SAME):
        _ended(client, model)
    versions = []
    with tempfile.TemporaryDirectory() as folder:
        for at, about in enumerate(SHARES):
            path = Path(folder) / f"{about}.onnx"
            values = np.roll(np.arange(ENTRIES, dtype=np.float32), at)
            path.write_bytes(look_up(values).SerializeToString(deterministic=True))
            versions.append(register_once(client, FEED, about, path, _registering(client, FEED, path)).version)
            if not at:
                register_once(client, SAME, about, path, _registering(client, SAME, path))
    for model, shares in (
        (FEED, dict(zip(SHARES, versions, strict=True))),
        (SAME, dict.fromkeys(["popular", "again"])),
    ):
        _, begun = begin_with(client, model, versions[0])
        client.routes.await_epoch(model, begun.epoch, timeout=SERVING_TIMEOUT_S)
        weights = {**SHARES, "again": SHARES["popular"]}
        split = [
            Variant(variant, Version(version or versions[0]), weights[variant]) for variant, version in shares.items()
        ]
        client.routes.split(model, split, force=True, reason="demo")
    return versions


def _registering(client: Client, model: str, path: Path):
    return lambda name: client.versions.register(model, name, path, metrics=METRICS)


def _ended(client: Client, model: str) -> None:
    """End what an earlier run has left."""
    for one in client.experiments.list(model):
        if one.state == pb.Experiment.STATE_RUNNING:
            client.experiments.conclude(model, one.name.rpartition("/")[2], reason="demo: starts over", keep_route=True)


def _experiment(name: str, shares: dict[str, float]) -> pb.Experiment:
    made = pb.Experiment(name=name, hypothesis="a feed of one's own is clicked more", planned_units=USERS)
    for variant, weight in shares.items():
        made.variants.add(name=variant, weight=weight)
    made.metrics.add(name="click", relative_effect=0.5)
    made.metrics.add(
        name="refund", role=pb.Experiment.ROLE_GUARDRAIL, margin=0.5, lower_is_better=True, relative_effect=0.5
    )
    return made


def _asked(client: Client, model: str, advance) -> list[Prediction]:
    def ask(user: int) -> Prediction:
        index = np.array([user % ENTRIES], np.int64)
        answer = client.predict(model, {"index": index}, user_id=f"user-{user}", max_age=timedelta())
        advance()
        return answer

    with ThreadPoolExecutor(16) as askers:
        return list(askers.map(ask, range(USERS)))


def _recorded(client: Client, model: str, answers: Sequence[Prediction]) -> int:
    """Tell what users did, by chance, as often as their variant makes them."""
    chance = random.Random(7)
    outcomes = [
        Outcome(1.0, answer.prediction_id, kind=kind)
        for answer in answers
        for kind, rates in (("click", CLICKS), ("refund", REFUNDS))
        if chance.random() < rates[answer.variant]
    ]
    client.outcomes.record(model, outcomes)
    return len(outcomes)


def _analysed(client: Client, model: str, name: str) -> pb.AnalyseExperimentResponse:
    """Return what the data say once the log has the users."""
    began = changed = time.monotonic()
    before = -1
    while True:
        found = client.experiments.analyse(model, name)
        units = sum(one.units for one in found.assigned)
        if units != before:
            before, changed = units, time.monotonic()
        enough = units == USERS or (units and time.monotonic() - changed > _QUIET_S)
        if enough or time.monotonic() - began > _KNOWN_WITHIN_S:
            return found
        time.sleep(0.5)


def _rows(found: pb.AnalyseExperimentResponse) -> list[tuple[str, ...]]:
    return [
        (
            *(one.metric, one.variant),
            pb.AnalyseExperimentResponse.Finding.Name(one.finding).removeprefix("FINDING_").lower(),
            f"{one.relative:+.0%}",
            f"{one.relative_low:+.0%} to {one.relative_high:+.0%}",
        )
        for one in found.results
    ]


def _told(client: Client) -> None:
    story = Story()
    tell(story, client)
    story.end()


if __name__ == "__main__":
    sys.exit(told(_told))
