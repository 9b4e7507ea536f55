"""The policy of a process: its file, read at the start and again when it changes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Self

import structlog
from headrace_servicekit.runtime import Runtime

from headrace_runtime.signatures.policy import Policy, PolicyError, read

log = structlog.get_logger()

FOLLOW_EVERY_S = 1.0


class PolicyFile:
    """A file with a policy; a change takes effect within seconds, without a restart."""

    def __init__(self, path: Path, text: str) -> None:
        self._path, self._text = path, text
        self._problem = ""
        self.policy: Policy = _read(path, text)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read a file. Raises PolicyError."""
        return cls(path, _text(path))

    async def follow(self) -> None:
        """Read the file again; one that cannot be used changes nothing and is logged once. For `every`."""
        try:
            text = await asyncio.to_thread(_text, self._path)
            if text == self._text:
                return
            policy = _read(self._path, text)
        except PolicyError as error:
            if str(error) != self._problem:
                log.error("signing policy not taken; the former one stays", reason=str(error))
            self._problem = str(error)
            return
        self._text, self.policy, self._problem = text, policy, ""
        log.info("signing policy changed", signers=len(policy.signers), file=str(self._path))


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise PolicyError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise PolicyError(f"{path} is not UTF-8") from None


def _read(path: Path, text: str) -> Policy:
    try:
        return read(text)
    except PolicyError as error:
        raise PolicyError(f"{path}: {error}") from None


def followed(runtime: Runtime[Any], path: Path | None) -> PolicyFile | None:
    """Return the policy in a file, read again by the service for as long as it runs; None without a file."""
    if path is None:
        return None
    file = PolicyFile.open(path)
    runtime.every("signing policy", FOLLOW_EVERY_S, file.follow)
    return file
