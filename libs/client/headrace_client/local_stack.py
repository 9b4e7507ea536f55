"""The stack of a checkout: found from a folder inside it, or by whose environment runs this."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace_client.local_files import is_file

STATE_FOLDER = ".headrace"
KEY_FILE = "issuer.key.pem"


@dataclass(frozen=True, slots=True)
class LocalStack:
    """A stack whose state is in `home`: identity/ holds its issuer, run/status.json says which ports it has."""

    home: Path

    @classmethod
    def find(
        cls,
        environ: Mapping[str, str] = os.environ,
        start: Path | None = None,
        environment: Path | None = None,
    ) -> LocalStack | None:
        """Return the stack in HEADRACE_STATE_DIR, or in .headrace of a folder from `start` upward, or of our checkout.

        environment: of this Python, by default; a checkout's is its folder .venv, also for who works elsewhere.
        """
        if named := environ.get("HEADRACE_STATE_DIR"):
            return cls(Path(named))
        here = (start or Path.cwd()).resolve()
        ours = (environment or Path(sys.prefix)).parent
        homes = (folder / STATE_FOLDER for folder in (here, *here.parents, ours))
        return next((cls(home) for home in homes if is_file(home / "identity" / KEY_FILE)), None)

    @property
    def identity(self) -> Path:
        """Return the folder of the development issuer."""
        return self.home / "identity"

    def port(self) -> int | None:
        """Return the front door's port as the stack last wrote it; None when it never ran."""
        port = self.status().get("base_port")
        return port if isinstance(port, int) else None

    def status(self) -> dict[str, Any]:
        """Return what the stack last wrote of itself; empty when it never ran."""
        try:
            status = json.loads((self.home / "run" / "status.json").read_text())
        except (OSError, ValueError, RecursionError):
            return {}
        return status if isinstance(status, dict) else {}


def default_address(
    environ: Mapping[str, str] = os.environ, start: Path | None = None, environment: Path | None = None
) -> str:
    """Return HEADRACE_ADDRESS, else the local stack's front door, else 127.0.0.1 with HEADRACE_BASE_PORT or 8080."""
    if named := environ.get("HEADRACE_ADDRESS"):
        return named
    port = environ.get("HEADRACE_BASE_PORT")
    if not port:
        stack = LocalStack.find(environ, start, environment)
        port = (stack.port() if stack is not None else None) or 8080
    return f"127.0.0.1:{port}"
