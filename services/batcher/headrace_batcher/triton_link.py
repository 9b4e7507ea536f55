"""Where Triton's gRPC is: an address of gRPC, which Triton puts together of `--grpc-address` and `--grpc-port`."""

from __future__ import annotations

from pathlib import Path

from headrace_servicekit import unix_sockets

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_FILE = "grpc:1"


def problem(target: str) -> str | None:
    """Return why a target cannot be that of a Triton on this machine, and what can; None where it can."""
    host, _, port = target.rpartition(":")
    if not (port.isascii() and port.isdecimal() and 1 <= int(port[:6]) <= 65535):
        return f"'{target}' does not end with a colon and a number from 1 to 65535, which Triton takes as its port"
    path = unix_sockets.path_of(target)
    if path is not None:
        return unix_sockets.problem(path)
    if host not in _LOOPBACK:
        return (
            f"'{target}' is not on this machine: name a socket (unix:/path:1) or 127.0.0.1:{port}; a server elsewhere "
            "is BATCHER_BACKEND=oip"
        )
    return None


def options_of(target: str) -> tuple[str, str]:
    """Return the options that have tritonserver listen at a target."""
    address, _, port = target.rpartition(":")
    return f"--grpc-address={address}", f"--grpc-port={port}"


def target_in(folder: Path) -> str:
    """Return the target of a socket in a folder."""
    return f"{unix_sockets.SCHEME}{folder / _FILE}"
