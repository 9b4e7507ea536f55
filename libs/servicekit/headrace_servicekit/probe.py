"""Asks the health of the service in this container; exits 0 when it is SERVING, 1 when not.

python -m headrace_servicekit.probe REGISTRY_
python -m headrace_servicekit.probe CONSOLE_ --http    of a service that answers no gRPC

It finds the service by the service's own variables with that prefix, and asks `grpc.health.v1` as callers do. With TLS
it asks `/readyz`, the same state in the clear: a certificate bears the service's name, not that of its own container's
loopback. It is started every few seconds, so it imports little: no settings, no logs.
"""

from __future__ import annotations

import ipaddress
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

TIMEOUT_S = 3.0
_NO_PROXY = urllib.request.ProxyHandler({})


def problem(prefix: str, environ: Mapping[str, str], *, http: bool = False) -> str | None:
    """Return None when the service that the variables describe is SERVING, else what it said instead."""
    host = environ.get(f"{prefix}HOST") or "127.0.0.1"
    host = "127.0.0.1" if _is_wildcard(host) else host
    if http or environ.get(f"{prefix}TLS_CERT"):
        return _over_http(f"http://{host}:{environ[f'{prefix}METRICS_PORT']}/readyz")
    return _over_grpc(f"{host}:{environ[f'{prefix}PORT']}")


def _over_grpc(target: str) -> str | None:
    import grpc  # half of what a probe costs
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    try:
        with grpc.insecure_channel(target, (("grpc.enable_http_proxy", 0),)) as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)  # its methods are missing in the type stubs
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S)
    except grpc.RpcError as error:
        return f"{error.code().name}: {error.details()}"  # pyright: ignore[reportAttributeAccessIssue]
    return None if answer.status == health_pb2.HealthCheckResponse.SERVING else "NOT_SERVING"


def _over_http(url: str) -> str | None:
    try:
        with urllib.request.build_opener(_NO_PROXY).open(url, timeout=TIMEOUT_S):
            return None
    except urllib.error.HTTPError as error:
        return error.read().decode(errors="replace").strip()
    except OSError as error:
        return str(error)


def _is_wildcard(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def main(arguments: list[str]) -> int:
    """Say what is wrong; return the exit code."""
    prefix, *how = arguments
    message = problem(prefix, os.environ, http=how == ["--http"])
    if message is not None:
        sys.stderr.write(message + "\n")
    return 0 if message is None else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
