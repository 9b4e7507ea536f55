"""What callers of one model feel while another is loaded: latency of A in quiet and while B is fetched and loaded.

    .venv/bin/python -m benchmarks.loading_neighbours [--rounds 4] [--per-second 200] [--mib 64] [--ahead]
        [--store-mib-per-second 60] [--computing 2]

A batcher with its Triton and the caller run in processes of their own, model files come from a real S3 store. One row
of A is sent every few milliseconds, whatever became of the ones before. Rounds alternate: three seconds without
loading, then one loading. Prints one line of JSON; `ratio` is the 99th percentile while loading over that in quiet.

On a machine that others use, what they do decides both percentiles. With `--ahead` (root, Linux with autogroups) the
caller, the batcher and Triton are scheduled before theirs, and before S3 and the control plane that this process plays:
in life those have machines of their own. With `--store-mib-per-second` B comes from a process that sends it at the rate
of a network instead of from an S3 store that does all its own work on the same cores. With `--computing` nothing is
loaded: so many processes of the lowest priority compute instead for three seconds, which shows the effect of any
background work on this machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil
import uvloop
from headrace.router.v1 import control_pb2
from headrace_servicekit.testing import eventually, free_port
from headrace_stack.components import s3
from headrace_stack.components.s3 import request
from headrace_stack.settings import StackSettings, checkout_of_this_file
from headrace_stack.testing import held_stack

from benchmarks.peers.steady_caller import FEATURES, Answers
from tests.kit.batcher.process import process_of, until_listening
from tests.kit.batcher.service import BatcherRig, batcher_rig
from tests.kit.batcher.stream_client import BatcherClient
from tests.kit.models import onnx_models
from tests.kit.models.onnx_models import TinyModel
from tests.kit.stores.servers import S3Store, home_for_tests

ResolvedVersion = control_pb2.ResolvedVersion

AHEAD, BEHIND = "-19", "19"
# As the process of a model that is being loaded: nice, and no less than that.
COMPUTING = "import os; os.setpriority(os.PRIO_PROCESS, 0, 19)\nwhile True: pass"
LEAST_WINDOW_S = 3.0
SETTLING_S = 2.0


class Window(NamedTuple):
    """From when to when, in seconds of the monotonic clock."""

    begin: float
    end: float

    def __contains__(self, moment: object) -> bool:
        return isinstance(moment, float) and self.begin <= moment < self.end


def go_ahead_of_others() -> None:
    """Have this session, and all that is started in it, scheduled before all others."""
    with suppress(PermissionError):  # it is the leader of one already
        os.setsid()
    Path("/proc/self/autogroup").write_text(AHEAD)


def step_aside(pids: Iterable[int]) -> None:
    """Have processes give way to all others: what stands for other machines in life.

    By niceness: where nothing but SCHED_IDLE runs, a core counts as idle for a thread that wakes, which is put there
    and waits until what runs is interrupted.
    """
    for pid in pids:
        if pid != os.getpid():  # which leads the session that goes ahead
            Path(f"/proc/{pid}/autogroup").write_text(BEHIND)
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(ProcessLookupError):
                os.setpriority(os.PRIO_PROCESS, int(thread.name), int(BEHIND))


def listening_on(port: int) -> set[int]:
    """Return the processes that listen on a port of this machine."""
    listening = [one for one in psutil.net_connections("tcp") if one.status == psutil.CONN_LISTEN]
    return {one.pid for one in listening if one.pid and getattr(one.laddr, "port", None) == port}


@asynccontextmanager
async def caller_of(target: str, digest: str, per_second: float) -> AsyncIterator[asyncio.subprocess.Process]:
    """Call a version from a process of its own; closing its input makes it print what it saw."""
    command = (sys.executable, "-m", "benchmarks.peers.steady_caller", target, digest, str(per_second))
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, limit=64 * 1024 * 1024)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def loaded(
    rig: BatcherRig, client: BatcherClient, small: ResolvedVersion, large: ResolvedVersion
) -> AsyncIterator[None]:
    """Load a version beside the small one; unload it at the end."""
    rig.want(small, pending=[large])
    await client.until_ready(large.digest)
    yield
    rig.want(small)
    await eventually(lambda: large.digest not in client.versions, within=30)


@asynccontextmanager
async def computed(count: int) -> AsyncIterator[None]:
    """Compute for a while, in processes that give way to all others."""
    processes = [await asyncio.create_subprocess_exec(sys.executable, "-c", COMPUTING) for _ in range(count)]
    try:
        await asyncio.sleep(LEAST_WINDOW_S)
    finally:
        for process in processes:
            process.kill()
            await process.wait()
    yield


@asynccontextmanager
async def paced_store(folder: Path, mib_per_second: float) -> AsyncIterator[tuple[int, int]]:
    """Serve a folder at the rate of a network; yield the port, and the process."""
    port = free_port()
    command = (sys.executable, "-m", "benchmarks.peers.paced_store", str(port), str(folder), str(mib_per_second))
    process = await asyncio.create_subprocess_exec(*command)
    try:
        await until_listening(port)
        yield port, process.pid
    finally:
        process.kill()
        await process.wait()


async def stored(rig: BatcherRig, folder: Path, name: str, model: TinyModel, version: str = "v1") -> ResolvedVersion:
    """Put a model into S3, and where a paced store has it; return its version."""
    made = await rig.version(name, model, version)
    (folder / made.artifacts[0].sha256).write_bytes(model.content)
    return made


async def measure(
    rig: BatcherRig,
    small: ResolvedVersion,
    large: list[ResolvedVersion],
    per_second: float,
    aside: set[int],
    *,
    computing: int,
) -> dict[str, float]:
    """Return what the caller of A saw. aside: processes that, with this one, stand for other machines."""
    rig.want(small)
    port = free_port()
    target = f"127.0.0.1:{port}"
    quiet: list[Window] = []
    beside: list[Window] = []
    async with process_of(rig, rig.settings["state_dir"].parent / "log", port=port):
        await until_listening(port)
        async with (
            BatcherClient.connected(target) as client,
            caller_of(target, small.digest, per_second) as caller,
        ):
            await client.until_ready(small.digest)
            if aside:
                step_aside({os.getpid(), *aside})
            await asyncio.sleep(SETTLING_S)
            for version in large:
                began = time.monotonic()
                await asyncio.sleep(LEAST_WINDOW_S)
                asked = time.monotonic()
                async with computed(computing) if computing else loaded(rig, client, small, version):
                    quiet.append(Window(began, asked))
                    beside.append(Window(asked, time.monotonic()))
                await asyncio.sleep(SETTLING_S)
            printed, _ = await caller.communicate(b"")
    return figures(Answers(**json.loads(printed)), quiet, beside)


def figures(seen: Answers, quiet: list[Window], loading: list[Window]) -> dict[str, float]:
    """Return percentiles of what was sent in these windows of time."""
    latencies = {
        name: [
            took for due, took in zip(seen.due, seen.took_s, strict=True) if any(due in window for window in windows)
        ]
        for name, windows in (("quiet", quiet), ("loading", loading))
    }
    percentiles = {
        f"{name}_p{at}_ms": round(float(np.percentile(values, at)) * 1e3, 2)
        for name, values in latencies.items()
        for at in (50, 99)
    }
    return {
        "rounds": len(loading),
        "requests_quiet": len(latencies["quiet"]),
        "requests_loading": len(latencies["loading"]),
        "failed": seen.failed,
        "loading_s": round(float(np.median([window.end - window.begin for window in loading])), 2),
        **percentiles,
        "ratio": round(percentiles["loading_p99_ms"] / percentiles["quiet_p99_ms"], 2),
    }


async def run(
    settings: StackSettings,
    rounds: int,
    per_second: float,
    mib: int,
    *,
    ahead: bool,
    store_rate: float | None,
    computing: int,
) -> None:
    """Measure with a bucket and a directory of its own; print one line."""
    keys = s3.keys(settings)
    bucket = f"bench-{uuid.uuid4().hex}"
    await request("PUT", settings.ports.s3, f"/{bucket}", keys=keys)
    store = S3Store(s3.endpoint(settings), keys.access_key, keys.secret_key, bucket)
    launch = checkout_of_this_file() / "deploy" / "triton" / "launch"
    aside = listening_on(settings.ports.s3.number) if ahead else set[int]()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        rig = await stack.enter_async_context(batcher_rig(store, folder, "triton", launch))
        small = await stored(rig, folder, "a", onnx_models.linear(FEATURES, 8))
        outputs = mib * 1024 * 1024 // (4 * 2048)
        large = [
            await stored(rig, folder, "b", onnx_models.linear(2048, outputs, seed=seed), f"v{seed}")
            for seed in range(1, rounds + 1)
        ]
        if store_rate is not None:
            port, pid = await stack.enter_async_context(paced_store(folder, store_rate))
            rig.settings["s3_endpoint"] = f"http://127.0.0.1:{port}"
            aside |= {pid} if ahead else set()
        seen = await measure(rig, small, large, per_second, aside, computing=computing)
    beside = f"{computing} computing" if computing else f"{mib} MiB loaded"
    print(json.dumps({"beside": beside, "store_mib_per_second": store_rate, **seen}))
    await request("DELETE", settings.ports.s3, f"/{bucket}", keys=keys, timeout_s=30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--per-second", type=float, default=200.0)
    parser.add_argument("--mib", type=int, default=64, help="size of B's file")
    parser.add_argument("--ahead", action="store_true", help="schedule the benchmark before all else (root)")
    parser.add_argument("--store-mib-per-second", type=float, help="send B at this rate, not from S3 as fast as it can")
    parser.add_argument("--computing", type=int, default=0, metavar="N", help="compute beside A instead of loading B")
    given = parser.parse_args()
    if given.ahead:
        go_ahead_of_others()
    with (
        held_stack(home_for_tests("s3"), only=[s3.NAME]) as settings,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(
            run(
                settings,
                given.rounds,
                given.per_second,
                given.mib,
                ahead=given.ahead,
                store_rate=given.store_mib_per_second,
                computing=given.computing,
            )
        )


if __name__ == "__main__":
    main()
