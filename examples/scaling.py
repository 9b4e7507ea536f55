"""`make demo-scale`: a load step makes the autoscaler start a second batcher, its end drains it, and no request fails.

Every request is sent once and computed: no cache, no retries.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from google.protobuf.duration_pb2 import Duration
from headrace.autoscaler.v1 import autoscaler_pb2, policy_pb2
from headrace_client import AsyncClient, Client, HeadraceError, RetryPolicy

from examples.digits.register import MODEL, register
from examples.digits.train import Images, load, train
from examples.story import SERVING_TIMEOUT_S, Story, told
from examples.versions import begin_with

POOL = "default"
_CALM, _BUSY = 10.0, 100.0
# Half of the busy load: two replicas carry it.
_TARGET = 55.0
_WITHIN_S = 180.0
_Outcome = autoscaler_pb2.Outcome


class Callers:
    """Send images at a rate, each once, from a thread of their own. codes: of what came back."""

    def __init__(self, address: str, images: Images) -> None:
        self._address, self._images = address, images
        self.rate_per_s, self.codes = _CALM, Counter[str]()
        self._stopping = threading.Event()

    @contextmanager
    def calling(self) -> Iterator[None]:
        """Send until the block ends; what is in flight then is waited for."""
        thread = threading.Thread(target=lambda: asyncio.run(self._send()), name="callers")
        thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            thread.join()

    async def _send(self) -> None:
        async with (
            AsyncClient(self._address, retry=RetryPolicy(max_attempts=1)) as client,
            asyncio.TaskGroup() as tasks,
        ):
            due, sent = time.monotonic(), 0
            while not self._stopping.is_set():
                tasks.create_task(self._ask(client, sent % len(self._images.labels)))
                sent, due = sent + 1, due + 1.0 / self.rate_per_s
                await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _ask(self, client: AsyncClient, row: int) -> None:
        try:
            await client.predict(
                MODEL, {"image": self._images.pixels[row : row + 1]}, max_age=timedelta(), timeout=10.0
            )
        except HeadraceError as error:
            self.codes[error.code.name] += 1
        else:
            self.codes["OK"] += 1


def main() -> int:
    """Tell the story once; return the exit code."""
    failed = 0

    def story(client: Client) -> None:
        nonlocal failed
        failed = tell(Story(), client)

    return told(story) or (1 if failed else 0)


def tell(story: Story, client: Client) -> int:
    """Serve the digits, raise the load, lower it again; return how many requests failed."""
    story.title("Handwritten digits, served by one batcher with its Triton")
    images = _serve(story, client)
    callers = Callers(client.address.target, images)
    with callers.calling():
        try:
            client.pools.put_policy(_policy())
            story.say(f"a policy: at most {_TARGET:g} requests/s for each replica, one to two of them")
            _until(story, client, 1, f"{_CALM:g} requests/s: one replica is enough")
            callers.rate_per_s = _BUSY
            story.title(f"{_BUSY:g} requests/s")
            _until(story, client, 2, "a second batcher starts, loads and takes its share")
            _explain(story, client, 2)
            callers.rate_per_s = _CALM
            story.title(f"{_CALM:g} requests/s again")
            _until(story, client, 1, "it is drained, and ends")
            _explain(story, client, 1)
        finally:
            client.pools.delete_policy(POOL)
    failed = callers.codes.total() - callers.codes["OK"]
    story.title(f"{callers.codes.total():,} requests, {failed} failed")
    for code, count in callers.codes.items():
        if code != "OK":
            story.say(f"{count} {code}")
    story.end()
    return failed


def _serve(story: Story, client: Client) -> Images:
    with story.step("train, register, put into production"), tempfile.TemporaryDirectory() as folder:
        digits = load()
        first = register(client, train(digits, Path(folder))[0], digits, Path(folder))
        _, model = begin_with(client, MODEL, first.version)
        client.routes.await_epoch(MODEL, model.epoch, timeout=SERVING_TIMEOUT_S)
    return digits.held_out


def _policy() -> policy_pb2.ScalingPolicy:
    """Return a policy that looks at seconds, so that a demo need not last for minutes."""
    return policy_pb2.ScalingPolicy(
        name=f"pools/{POOL}/policy",
        preset="kubernetes",
        targets=[policy_pb2.Target(metric="requests_per_s", value=_TARGET)],
        max_replicas=2,
        interval=Duration(seconds=1),
        stable_window=Duration(seconds=5),
        scale_down_window=Duration(seconds=10),
    )


def _until(story: Story, client: Client, replicas: int, doing: str) -> None:
    """Show what is being done until the pool has so many replicas and no other."""
    with story.step(doing) as outcome:
        begun = time.monotonic()
        while True:
            (pool,) = [one for one in client.pools.list() if one.name == f"pools/{POOL}"]
            counts = pool.replicas
            if counts.ready == replicas == pool.desired_replicas and not (counts.loading or counts.draining):
                outcome(f"{counts.ready} ready")
                return
            if time.monotonic() - begun > _WITHIN_S:
                raise RuntimeError(f"after {_WITHIN_S:g} s the pool has {counts}: {' '.join(pool.problems)}")
            time.sleep(0.5)


def _explain(story: Story, client: Client, replicas: int) -> None:
    """Show why the pool was brought to so many replicas."""
    for one in client.pools.list_decisions(POOL, only_changes=True, limit=20):
        if one.desired_replicas == replicas != one.previous_replicas:
            for sentence in one.sentences:
                story.say(sentence)
            return


if __name__ == "__main__":
    sys.exit(main())
