"""The health probe of containers asks a service as it is, by the service's own variables."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from headrace_servicekit.probe import problem
from headrace_servicekit.runtime import Runtime
from headrace_servicekit.settings import ServiceSettings
from headrace_servicekit.testing import running

from tests.kit.wire.certificates import Authority


@pytest.mark.parametrize("tls", [False, True], ids=["in the clear", "with TLS"])
async def test_it_is_content_while_the_service_serves_and_says_what_is_wrong_else(tls: bool, tmp_path: Path):
    pem = Authority(tmp_path).issue("server")
    settings: dict[str, Any] = {"host": "0.0.0.0", "drain_notice_s": 0}
    if tls:
        settings |= {"tls_cert": pem.cert, "tls_key": pem.key}

    async def start(runtime: Runtime[ServiceSettings]) -> None:
        runtime.server()
        runtime.health.add("store")
        runtime.health.set("store", True)

    async with running("toy", ServiceSettings(**settings), start) as runtime:
        told = {
            "TOY_HOST": "0.0.0.0",
            "TOY_PORT": str(runtime.servers[0].port),
            "TOY_METRICS_PORT": str(runtime.metrics_port),
            "TOY_TLS_CERT": str(pem.cert) if tls else "",
        }
        assert await asyncio.to_thread(problem, "TOY_", told) is None
        runtime.health.set("store", False, "away")
        assert await asyncio.to_thread(problem, "TOY_", told)
    gone = await asyncio.to_thread(problem, "TOY_", told)
    assert gone is not None
    assert "refused" in gone.lower() or "connect" in gone.lower()
