"""Requests for pairs of a user and an item, each pair an entity, and what came back."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle

import numpy as np
from headrace_client import AsyncClient

from examples.recommender.register import MODEL
from examples.recommender.train import ITEMS, USERS, Array, World

PAIRS = 1000
PUBLISHED_SHARE = 0.8

_SEED = 5
_IN_FLIGHT = 8
_TIMEOUT_S = 10.0
# How long callers go on after an operation was acknowledged: what then still answers otherwise is wrong.
_AFTERWARDS_S = 1.0
# Meanwhile each of them thinks for so long before it asks again: as fast as a machine can, they would use up what a
# data plane records, and the demo after this one would be known by a sample.
_THINKING_S = 0.02
# Triton computes in other orders of sums than the machine that expects.
_TOLERANCE = 1e-5


@dataclass(frozen=True, slots=True)
class Pairs:
    """What callers ask about: the entity of each pair, its features, and its score by version."""

    entities: tuple[str, ...]
    users: Array
    items: Array
    scores: dict[str, Array]

    def published(self) -> range:
        """Return the positions of the pairs whose answers are published beforehand."""
        return range(round(PUBLISHED_SHARE * len(self.entities)))


@dataclass(frozen=True, slots=True)
class Answer:
    """One answered request, times of `time.perf_counter`. right: whether the score is what that version computes."""

    sent_at: float
    received_at: float
    version: str
    served_from: str
    right: bool
    prediction_id: str

    @property
    def latency_ms(self) -> float:
        return (self.received_at - self.sent_at) * 1e3


@dataclass(frozen=True, slots=True)
class Row:
    """All answers from one source."""

    served_from: str
    versions: str
    requests: int
    share: float
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What callers saw of a change. after: answers to requests that left after its acknowledgement."""

    answers: int
    after: int
    wrong_version: int
    wrong_score: int
    sources: str


def draw_pairs(world: World, scores: Callable[[Array, Array], dict[str, Array]]) -> Pairs:
    """Draw a thousand pairs of a user and an item. scores: what each version gives to features of pairs."""
    drawn = np.random.default_rng(_SEED).choice(USERS * ITEMS, size=PAIRS, replace=False)
    user, item = drawn // ITEMS, drawn % ITEMS
    entities = tuple(f"user-{who:04}:item-{what:03}" for who, what in zip(user, item, strict=True))
    users, items = world.users[user], world.items[item]
    return Pairs(entities, users, items, scores(users, items))


async def send_once(address: str, pairs: Pairs, progress: Callable[[], None]) -> list[Answer]:
    """Ask once for each pair."""
    async with AsyncClient(address) as client:
        return await _send(client, pairs, iter(range(len(pairs.entities))), progress, thinking_s=0.0)


async def send_while(address: str, pairs: Pairs, act: Callable[[], None]) -> tuple[list[Answer], float]:
    """Ask for pairs in turn while `act` runs and a second longer; return the answers and when it returned."""
    async with AsyncClient(address) as client:
        going = True

        def positions() -> Iterator[int]:
            for position in cycle(np.random.default_rng(_SEED).permutation(len(pairs.entities)).tolist()):
                if not going:
                    return
                yield position

        sending = asyncio.create_task(_send(client, pairs, positions(), lambda: None, thinking_s=_THINKING_S))
        try:
            await asyncio.sleep(_AFTERWARDS_S / 4)
            await asyncio.to_thread(act)
            acted_at = time.perf_counter()
            await asyncio.sleep(_AFTERWARDS_S)
        finally:
            going = False
            answers = await sending
    return answers, acted_at


def judge(answers: Sequence[Answer], acknowledged_at: float, version: str) -> Verdict:
    """Say what callers saw of a change to `version`."""
    after = [answer for answer in answers if answer.sent_at > acknowledged_at]
    return Verdict(
        answers=len(answers),
        after=len(after),
        wrong_version=sum(answer.version != version for answer in after),
        wrong_score=sum(not answer.right for answer in answers),
        sources=", ".join(f"{source}={count}" for source, count in Counter(a.served_from for a in after).most_common()),
    )


def by_source(answers: Sequence[Answer]) -> list[Row]:
    """Return one row per source, the most frequent first."""
    groups: dict[str, list[Answer]] = defaultdict(list)
    for answer in answers:
        groups[answer.served_from].append(answer)
    return [
        Row(
            served_from=source,
            versions=", ".join(sorted({answer.version for answer in group})),
            requests=len(group),
            share=len(group) / len(answers),
            p50_ms=float(np.percentile([answer.latency_ms for answer in group], 50)),
            p99_ms=float(np.percentile([answer.latency_ms for answer in group], 99)),
        )
        for source, group in sorted(groups.items(), key=lambda item: -len(item[1]))
    ]


async def _send(
    client: AsyncClient, pairs: Pairs, positions: Iterator[int], progress: Callable[[], None], *, thinking_s: float
) -> list[Answer]:
    """Ask for the pairs at these positions, eight in flight, and return the answers in the order of their arrival."""
    answers: list[Answer] = []

    async def ask_one_after_the_other() -> None:
        for position in positions:
            answers.append(await _ask(client, pairs, position))
            progress()
            await asyncio.sleep(thinking_s)

    async with asyncio.TaskGroup() as group:
        for _ in range(_IN_FLIGHT):
            group.create_task(ask_one_after_the_other())
    return answers


async def _ask(client: AsyncClient, pairs: Pairs, position: int) -> Answer:
    row = slice(position, position + 1)
    inputs = {"user_features": pairs.users[row], "item_features": pairs.items[row]}
    sent_at = time.perf_counter()
    answer = await client.predict(MODEL, inputs, entity_id=pairs.entities[position], timeout=_TIMEOUT_S)
    received_at = time.perf_counter()
    expected = pairs.scores.get(answer.version)
    right = expected is not None and bool(
        np.allclose(answer.outputs["scores"], expected[position], rtol=0, atol=_TOLERANCE)
    )
    return Answer(sent_at, received_at, answer.version, str(answer.served_from), right, answer.prediction_id)
