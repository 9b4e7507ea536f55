"""The held-out images as single requests, each on behalf of a user, and what came back."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from headrace_client import AsyncClient, RetryPolicy

from examples.digits.register import MODEL
from examples.digits.train import Images

USERS = tuple(f"user-{number:03}" for number in range(300))
_IN_FLIGHT = 16
_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Answer:
    """One answered request. right: whether the label was the image's, `label`. latency_ms: as the caller saw it."""

    user: str
    version: str
    variant: str
    right: bool
    latency_ms: float
    served_from: str
    prediction_id: str
    label: int


@dataclass(frozen=True, slots=True)
class Row:
    """All answers of one version."""

    version: str
    variants: str
    users: int
    requests: int
    accuracy: float
    p50_ms: float
    p99_ms: float
    served_from: str


async def send(
    address: str,
    images: Images,
    *,
    repeat: int,
    progress: Callable[[], None] = lambda: None,
    retry: RetryPolicy | None = None,
) -> list[Answer]:
    """Send every image `repeat` times, 16 requests in flight, and return the answers in order.

    The same call sends the same requests: request i carries image i and user i, both modulo their number. retry: None
    is the client's own.
    """
    async with AsyncClient(address, retry=retry) as client:
        limit = asyncio.Semaphore(_IN_FLIGHT)

        async def ask(index: int) -> Answer:
            row = index % len(images.labels)
            user = USERS[index % len(USERS)]
            async with limit:
                start = time.perf_counter()
                answer = await client.predict(
                    MODEL, {"image": images.pixels[row : row + 1]}, user_id=user, timeout=_TIMEOUT_S
                )
                latency_ms = (time.perf_counter() - start) * 1e3
            progress()
            label = int(images.labels[row])
            right = int(answer.outputs["label"][0]) == label
            source = str(answer.served_from)
            return Answer(user, answer.version, answer.variant, right, latency_ms, source, answer.prediction_id, label)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(ask(index)) for index in range(repeat * len(images.labels))]
    return [task.result() for task in tasks]


def by_version(answers: Sequence[Answer]) -> list[Row]:
    """Return one row per version, in the order of their names."""
    groups: dict[str, list[Answer]] = defaultdict(list)
    for answer in answers:
        groups[answer.version].append(answer)
    return [_row(version, groups[version]) for version in sorted(groups)]


def variants_by_user(answers: Sequence[Answer]) -> dict[str, set[str]]:
    """Return the variants that each user was given; one each, if assignment is sticky."""
    found: dict[str, set[str]] = defaultdict(set)
    for answer in answers:
        found[answer.user].add(answer.variant)
    return found


def _row(version: str, answers: Sequence[Answer]) -> Row:
    latencies_ms = np.array([answer.latency_ms for answer in answers])
    sources = Counter(answer.served_from for answer in answers)
    return Row(
        version=version,
        variants="\n".join(sorted({answer.variant for answer in answers})),
        users=len({answer.user for answer in answers}),
        requests=len(answers),
        accuracy=float(np.mean([answer.right for answer in answers])),
        p50_ms=float(np.percentile(latencies_ms, 50)),
        p99_ms=float(np.percentile(latencies_ms, 99)),
        served_from="\n".join(f"{source}={count}" for source, count in sources.most_common()),
    )
