"""`python -m benchmarks.console`: what the console costs: its first page with many models, and pages that are followed.

The first page is asked for by one reader, one time after the other, through the front door; its server time is what the
console itself counted. The followers look at a pool: the CPU time of every process of the stack is compared with as
long a time without them. The stack is started when it is not up.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime

import httpx
from headrace_client import Client
from headrace_client.issuer import DevelopmentIssuer
from headrace_stack import description
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.checkout import ROOT
from benchmarks.measures.figures import percentile
from benchmarks.measures.processes import families, usage
from benchmarks.systems.stack import Stack, running_stack
from tests.kit.console.link_page import follow

MODEL = "bench-console"
LIVE = "/console/live/pools/default"
# One address may begin 30 sign-ins in a minute: some followers share a session.
MOST_SESSIONS = 20
# Longer than the console's cache lives: every page is read again.
PAUSE_S = 1.1


def registered(stack: Stack, count: int) -> None:
    """Have so many models, as far as they are not there yet. They need no version: each is asked for its traffic."""
    with Client(f"127.0.0.1:{stack.port}", token=stack.token) as client:
        there = {model.name.rsplit("/", 1)[-1] for model in client.models.list(contains=MODEL)}
        for number in range(count):
            name = f"{MODEL}-{number:04}"
            if name not in there:
                client.models.create(name, description="of a benchmark")


@asynccontextmanager
async def reader(stack: Stack, subject: str) -> AsyncIterator[httpx.AsyncClient]:
    """Lend a browser that is signed in."""
    base = f"http://127.0.0.1:{stack.port}"
    link = DevelopmentIssuer(stack.identity).console_link(subject=subject, now=datetime.now(UTC))
    async with httpx.AsyncClient(base_url=base, trust_env=False, timeout=30) as browser:
        answer = await follow(browser, f"/console/sign-in/link?link={link}")
        assert answer.status_code == 303, answer.text
        yield browser


async def first_page(stack: Stack, times: int) -> None:
    """Print how long the first page takes."""
    taken: list[float] = []
    async with reader(stack, "bench-reader") as browser:
        await browser.get("/console/")
        before = await served(stack)
        size = 0
        for _ in range(times):
            await asyncio.sleep(PAUSE_S)
            began = time.perf_counter()
            answer = await browser.get("/console/")
            taken.append((time.perf_counter() - began) * 1000)
            assert answer.status_code == 200
            size = len(answer.content)
        after = await served(stack)
    ordered = sorted(taken)
    server_ms = (after[1] - before[1]) / (after[0] - before[0]) * 1000
    with Client(f"127.0.0.1:{stack.port}", token=stack.token) as client:
        count = len(client.models.list())
    print(
        f"first page, {count:,} models: server mean {server_ms:.0f} ms; by the reader p50 "
        f"{percentile(ordered, 0.5):.0f} ms, p95 {percentile(ordered, 0.95):.0f} ms, {size // 1000} kB"
    )


async def served(stack: Stack) -> tuple[float, float]:
    """Return how often the console served its first page, and the seconds that it took."""
    async with httpx.AsyncClient(trust_env=False) as client:
        offset = description.of(ROOT)["console"].offset("metrics")
        text = (await client.get(f"http://127.0.0.1:{stack.port + offset}/metrics")).text
    samples = [one for one in _samples(text) if one.labels.get("http_route") == "/"]
    return tuple(sum(one.value for one in samples if one.name.endswith(end)) for end in ("_count", "_sum"))  # type: ignore[return-value]


def _samples(text: str) -> Iterator:
    for family in text_string_to_metric_families(text):
        if family.name.startswith("http_server_request_duration"):
            yield from family.samples


async def followed(stack: Stack, count: int, seconds: float) -> None:
    """Print what so many followers cost each process, beside as long a time without them."""
    processes = families(stack.processes)

    async def spent() -> dict[str, float]:
        before = usage(processes)
        await asyncio.sleep(seconds)
        after = usage(processes)
        return {name: (after[name].cpu_s - before[name].cpu_s) / seconds for name in processes}

    alone = await spent()
    events = 0
    async with AsyncExitStack() as open_pages, asyncio.TaskGroup() as group:

        async def follow(page: httpx.Response) -> None:
            nonlocal events
            async for line in page.aiter_lines():
                events += line.startswith("data:")

        subjects = [f"bench-{at}" for at in range(min(count, MOST_SESSIONS))]
        readers = [await open_pages.enter_async_context(reader(stack, subject)) for subject in subjects]
        tasks = []
        for browser in itertools.islice(itertools.cycle(readers), count):
            page = await open_pages.enter_async_context(browser.stream("GET", LIVE, timeout=None))
            assert page.status_code == 200
            tasks.append(group.create_task(follow(page)))
        await asyncio.sleep(2)
        events = 0
        among = await spent()
        told = events
        for task in tasks:
            task.cancel()
    print(f"{count} followers for {seconds:g} s, {told / seconds:.0f} lines/s to them; CPU as a share of a core:")
    print(f"{'':28} {'alone':>8} {'followed':>9} {'more':>7}")
    for name in sorted(processes, key=lambda one: alone[one] - among[one]):
        more = among[name] - alone[name]
        if abs(more) >= 0.001 or name.startswith(("console", "front-door")):
            print(f"{name:28} {alone[name]:>8.1%} {among[name]:>9.1%} {more:>7.1%}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=1000)
    parser.add_argument("--times", type=int, default=50, help="that the first page is asked for")
    parser.add_argument("--followers", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=20.0, help="with followers, and without")
    options = parser.parse_args()
    stack = running_stack()
    registered(stack, options.models)
    asyncio.run(first_page(stack, options.times))
    asyncio.run(followed(stack, options.followers, options.seconds))


if __name__ == "__main__":
    main()
