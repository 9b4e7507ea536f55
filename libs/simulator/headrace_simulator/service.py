"""The life of a simulator: what answers, the port that comes and goes with faults, the control interface."""

from __future__ import annotations

import asyncio
import contextlib
import math
import signal
from typing import Any

import structlog

from headrace_simulator import scripts
from headrace_simulator.arguments import Options
from headrace_simulator.calls import Calls
from headrace_simulator.control import Control, ControlServer
from headrace_simulator.injection import Injection
from headrace_simulator.listener import Listener
from headrace_simulator.made_up_models import MadeUpModels
from headrace_simulator.relay import Forwarding
from headrace_simulator.triton_child import TritonChild

log = structlog.get_logger()

_STOP_GRACE_S = 1.0


async def run(options: Options) -> int:
    """Run until SIGTERM or SIGINT, or until the Triton that was started ends; return the exit code."""
    loop = asyncio.get_running_loop()
    stopping, changed = asyncio.Event(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    injection = Injection(loop.time, changed.set)
    for name, fault in (scripts.read(options.faults) if options.faults else {}).items():
        injection.put(name, fault)
    token = options.token_file.read_text().strip() if options.token_file else None
    if token == "":
        raise ValueError(f"--control-token-file: {options.token_file} is empty")
    async with contextlib.AsyncExitStack() as resources:
        child, backend = await _open_backend(options, resources)
        listener = Listener(options.host, options.port, Calls(backend, injection))
        resources.push_async_callback(lambda: listener.stop(_STOP_GRACE_S))
        # Listen once, so that a port in use fails the start.
        await listener.start()
        control = ControlServer(Control(injection, token), *options.control) if options.control else None
        if control is not None:
            resources.push_async_callback(control.stop)
            control.start()
        log.info("listening", grpc_port=listener.port, control_port=control and control.port)
        ended = asyncio.create_task(child.ended(), name="triton") if child is not None else None
        keeping = asyncio.create_task(_keep(listener, injection, changed), name="listener")
        stopped = asyncio.create_task(stopping.wait(), name="stop")
        tasks: list[asyncio.Task[Any]] = [task for task in (ended, keeping, stopped) if task is not None]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        injection.clear()  # release calls that faults hold up
        if keeping in done:
            keeping.result()  # raises
        if ended is not None and ended in done:
            log.error("triton ended", exit_code=ended.result())
            return ended.result()
    return 0


async def _open_backend(
    options: Options, resources: contextlib.AsyncExitStack
) -> tuple[TritonChild | None, Forwarding | MadeUpModels]:
    """Return what answers, and the Triton that was started for it."""
    child, target = None, options.target
    if options.command:
        child = await TritonChild.start(options.command, options.host, options.port)
        resources.push_async_callback(child.stop)
        target = child.target
    if target is None:
        models = MadeUpModels(options.repository, options.latency, options.seed)
        if not options.explicit:
            await models.load_all()
        return None, models
    forwarding = Forwarding(target)
    resources.push_async_callback(forwarding.close)
    return child, forwarding


async def _keep(listener: Listener, injection: Injection, changed: asyncio.Event) -> None:
    """Close the port while a fault requires it, then reopen it; never returns."""
    loop = asyncio.get_running_loop()
    while True:
        changed.clear()
        if injection.refuses_connections and listener.open:
            await listener.stop()
        elif not injection.refuses_connections and not listener.open:
            await listener.start()
        next_s = injection.next_change_s
        try:
            async with asyncio.timeout_at(None if math.isinf(next_s) else max(next_s, loop.time())):
                await changed.wait()
        except TimeoutError:
            pass
