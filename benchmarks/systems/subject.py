"""The recommender on the running stack, as the benchmark wants it: registered, routed, published, warm."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from headrace_client import Answers, Client, Lookup, Variant, Version
from headrace_client.issuer import DevelopmentIssuer

from benchmarks.checkout import BenchmarkError
from benchmarks.load import calls
from benchmarks.load.calls import Call, Rows
from benchmarks.load.endings import OK
from benchmarks.load.generator import Generator, Target
from benchmarks.load.workload import KNOWN, Workload, known_entity, published
from examples.recommender.register import contract, gates
from examples.recommender.train import make_up, train
from examples.versions import register_once

MODEL, VERSION = "benchmark-recommender", "v1"
# Requests come from so many clients, each with a token and a rate of its own.
CLIENTS = 8
# Longer than all runs together: what was warmed at the beginning expires in none, and hit rates are the workload's.
KEPT = timedelta(minutes=45)
READY_S = 120.0
_SEED = 7


@dataclass(frozen=True, slots=True)
class Model:
    """The model's file, and the rows that are sent with what they should be answered with."""

    file: Path
    metrics: dict[str, float]
    rows: Rows


def make_model(folder: Path) -> Model:
    """Train the example's second recommender, two towers, and draw the rows."""
    world = make_up()
    candidate = train(world, folder)[1]
    draw = np.random.default_rng(_SEED)
    users = world.users[draw.integers(len(world.users), size=KNOWN)]
    items = world.items[draw.integers(len(world.items), size=KNOWN)]
    scores = candidate.scores(users, items)[:, 0].tolist()
    metrics = {"auc": candidate.auc, "latency_p99_ms": candidate.latency_p99_ms}
    return Model(candidate.file, metrics, Rows(users, items, scores))


def tokens(identity: Path) -> list[str]:
    """Mint a token for each client; they live for a quarter of an hour."""
    issuer, now = DevelopmentIssuer(identity), datetime.now(UTC)
    return [issuer.mint(subject=f"benchmark-{number}", now=now, scopes=["predict"]) for number in range(CLIENTS)]


def prepare(client: Client, model: Model, *, ttl: timedelta = KEPT) -> None:
    """Have the model served by a route of two variants, and the answers of every second entity published."""

    def create(name: str) -> None:
        client.versions.register(
            MODEL, name, model.file, contract=contract(), metrics=model.metrics, description="for benchmarks"
        )

    version = register_once(client, MODEL, VERSION, model.file, create).version
    if client.models.get(MODEL).production_version != version:
        client.models.set_gates(MODEL, gates(), reason="benchmark")
        promoted = client.models.promote(MODEL, version, reason="benchmark")
        client.routes.await_epoch(MODEL, promoted.model.epoch, timeout=READY_S)
    # Both variants are one version, so that an answer is known in advance and the assignment is paid for all the same.
    client.routes.split(MODEL, [Variant("control", Version(version), 0.5), Variant("treatment", Version(version), 0.5)])
    client.routes.set_lookup(MODEL, Lookup(ttl=ttl))
    # What an earlier run left would expire in this one, all at once.
    client.routes.purge_cache(MODEL, version, reason="benchmark: start over")
    kept = [position for position in range(KNOWN) if published(position)]
    scores = np.asarray([[model.rows.scores[position]] for position in kept], np.float32)
    answers = Answers([known_entity(position) for position in kept], {"scores": scores})
    client.precomputed.publish(MODEL, [answers], version=version, row_count=len(kept))


def warm_up(target: Target, call: Call, *, known: int = KNOWN) -> None:
    """Ask once for every known entity, or the first so many. Raises BenchmarkError when an answer is not right."""
    with Generator(target, call, Workload(range(known), endless=False), connections=4) as generator:
        result = generator.once(streams=16)
    wrong = {name: count for name, count in (result.outcomes + result.bad).items() if name != OK}
    if wrong or result.right != known:
        raise BenchmarkError(f"of {known} known entities {result.right} were answered rightly: {wrong}")


def faces(model: Model) -> dict[str, Call]:
    """Return the calls of Headrace by name."""
    return {
        "predict": calls.predict([MODEL], model.rows),
        "oip": calls.model_infer(MODEL, model.rows, by_entity=True),
        "json": calls.natural_json(MODEL, model.rows),
    }


def scratch() -> tempfile.TemporaryDirectory[str]:
    """Return a folder for what a run writes."""
    return tempfile.TemporaryDirectory(prefix="headrace-benchmark-")
