"""docker-compose.yml as somebody beside it uses it: commands, and what Docker says about what runs."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headrace_servicekit.testing import eventually
from headrace_stack.ports import Ports
from headrace_stack.settings import StackSettings

from tests.kit.deployment.topology import CHECKOUT
from tests.kit.stack.running import RunningStack

# Starting everything on a busy machine, models included.
UP_S = 400


@dataclass(frozen=True, slots=True)
class Installation:
    """One installation of the file, unmodified: the variables that it is told give it a name and a port of its own.

    home: where `stack` finds the development issuer. overlays: further compose files.
    """

    project: str
    port: int
    home: Path
    overlays: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)

    def compose(self, *arguments: str, timeout_s: float = UP_S) -> str:
        """Run `docker compose` and return what it prints. AssertionError with what it complains of when it fails."""
        files = [argument for name in ("docker-compose.yml", *self.overlays) for argument in ("--file", name)]
        return docker("compose", *files, *arguments, environment=self.environment(), timeout_s=timeout_s)

    def environment(self) -> dict[str, str]:
        """Return the environment of its commands: nothing of ours but what makes it another installation."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
        return {**clean, "HEADRACE_PROJECT": self.project, "HEADRACE_PORT": str(self.port), **self.variables}

    def up(self, *arguments: str) -> None:
        """Start what does not run; return when all of it is well."""
        self.compose("up", "--wait", *arguments)

    def down(self, *arguments: str) -> None:
        """Remove containers and networks; with `--volumes` the data too."""
        self.compose("--profile", "*", "down", "--remove-orphans", *arguments)

    def containers(self) -> dict[str, dict[str, Any]]:
        """Return what Docker knows of each container, those that have ended included, by name without the project."""
        ids = docker("ps", "--all", "--quiet", "--filter", self._ours()).split()
        found = json.loads(docker("inspect", *ids)) if ids else []
        return {one["Name"].removeprefix(f"/{self.project}-"): one for one in found}

    def run(self, name: str, *command: str, succeeds: bool = True) -> str:
        """Run a command in a running container, such as `batcher-1`."""
        return docker("exec", f"{self.project}-{name}", *command, succeeds=succeeds)

    def kill(self, name: str) -> None:
        """End a container at once, as by an accident. Docker does not start it again: it was told to."""
        docker("kill", f"{self.project}-{name}")

    def start(self, name: str) -> None:
        docker("start", f"{self.project}-{name}")

    def stop(self, name: str) -> None:
        """Ask a container to end, and wait until it has."""
        docker("stop", f"{self.project}-{name}")

    async def well(self, name: str, *, within: float = 120.0) -> None:
        """Return when a container's own health check says so."""
        format_ = "{{.State.Health.Status}}"

        async def healthy() -> bool:
            told = await asyncio.to_thread(docker, "inspect", "--format", format_, f"{self.project}-{name}")
            return told.strip() == "healthy"

        await eventually(healthy, within=within, every=0.5)

    def left_behind(self) -> list[str]:
        """Return containers, networks and volumes that are there."""
        lists = (("ps", "--all"), ("network", "ls"), ("volume", "ls"))
        return [line for words in lists for line in docker(*words, "--quiet", "--filter", self._ours()).split()]

    def stack(self) -> RunningStack:
        """Return it as a stack for the tests' callers, with the issuer that `init` has made."""
        settings = StackSettings(checkout=CHECKOUT, home=self.home, ports=Ports(self.port))
        settings.create_directories()
        for name in ("issuer.key.pem", "jwks.json"):
            path = f"/run/secrets/headrace/identity/{name}"
            content = self.compose("run", "--rm", "--no-deps", "--no-TTY", "--entrypoint", "cat", "headrace", path)
            (settings.identity / name).write_text(content)
        return RunningStack(settings)

    def _ours(self) -> str:
        return f"label=com.docker.compose.project={self.project}"


def docker(
    *arguments: str, environment: Mapping[str, str] | None = None, timeout_s: float = 60, succeeds: bool = True
) -> str:
    """Run `docker` in the checkout and return what it prints; what it complains of too when it must not succeed."""
    done = subprocess.run(
        ["docker", *arguments], cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=timeout_s
    )
    assert (done.returncode == 0) is succeeds, (
        f"docker {' '.join(arguments)}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
    )
    return done.stdout if succeeds else done.stdout + done.stderr
