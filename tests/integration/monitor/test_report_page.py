"""The page in a real browser, and from the real monitor."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from headrace.monitor.v1 import monitor_pb2, monitor_pb2_grpc
from headrace_monitor.report.rendering import render

from tests.kit.console.chromium import chromium
from tests.kit.monitor import sample_report
from tests.kit.monitor.service import real_monitor
from tests.kit.registry.service import memory_registry

CHROMIUM = chromium()
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no browser here (Debian: chromium)")
HOSTILE = "<img src=http://127.0.0.1:9/x onerror=alert(1)><script>console.error('obeyed')</script>"


def browse(page: Path, *wanted: str) -> subprocess.CompletedProcess[str]:
    """Open a page in a browser that was never used before, with its network log beside the page."""
    assert CHROMIUM is not None
    command = [
        *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars"),
        *("--disable-background-networking", "--disable-component-update", "--enable-logging=stderr"),
        *(f"--user-data-dir={page.parent / 'profile'}", f"--log-net-log={page.parent / 'net.json'}"),
        *("--window-size=420,900", *wanted, page.as_uri()),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=90, check=True)


def requests_of_page(folder: Path) -> list[str]:
    """Return what the page asked for over a network. What a browser asks for by itself has no origin."""
    told = json.loads((folder / "net.json").read_text(encoding="utf-8"))
    asked = [event["params"] for event in told["events"] if "initiator" in event.get("params", {})]
    return [params["url"] for params in asked if params["initiator"] != "not an origin"]


@pytest.mark.long
@needs_browser
def test_what_a_page_asks_for_would_be_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text('<!doctype html><img src="http://127.0.0.1:9/x"><script>console.error("said")</script>')
    seen = browse(page, "--dump-dom")
    assert "CONSOLE" in seen.stderr
    assert requests_of_page(tmp_path) == ["http://127.0.0.1:9/x"]


@pytest.mark.long
@needs_browser
@pytest.mark.parametrize("report", ["full", "empty"])
def test_a_browser_shows_the_page_asks_nobody_and_complains_of_nothing(tmp_path: Path, report: str) -> None:
    page, shot = tmp_path / "page.html", tmp_path / "page.png"
    told = sample_report.full(HOSTILE) if report == "full" else sample_report.empty()
    page.write_text(render(told), encoding="utf-8")
    seen = browse(page, "--dump-dom")
    assert "<h1>digits</h1>" in seen.stdout
    assert "could not be asked for: the store is away" in seen.stdout or "80,658" in seen.stdout
    assert "onerror" not in seen.stdout.replace("onerror=alert(1)&gt;", "")
    assert "CONSOLE" not in seen.stderr, seen.stderr
    assert requests_of_page(tmp_path) == []
    browse(page, f"--screenshot={shot}")
    content = shot.read_bytes()
    assert content.startswith(b"\x89PNG")
    assert len(content) > 20_000, "an empty page compresses to less"


async def test_the_monitor_renders_a_page_about_a_model_that_it_knows_nothing_of(postgres_url, s3, tmp_path):
    async with (
        memory_registry() as registry,
        real_monitor(postgres_url, s3, tmp_path, registry=registry.target, query_dir=tmp_path) as monitor,
    ):
        stub: Any = monitor_pb2_grpc.MonitorServiceStub(monitor.channel)
        answers = await asyncio.gather(
            *(stub.RenderReport(monitor_pb2.RenderReportRequest(parent="models/digits"), timeout=30) for _ in range(3))
        )
    for answer in answers:
        assert "Nothing was answered in this time" in answer.html
        assert "No alert was open in this time" in answer.html
