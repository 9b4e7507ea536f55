"""RunEvents of OpenLineage on their way to whoever collects them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from headrace.scorer.v1 import scorer_pb2 as pb
from headrace_servicekit.testing import eventually

from tests.kit.scoring import ScorerRig, created, features, over, parquet, scorer


class Collector(ThreadingHTTPServer):
    """Takes RunEvents, but for the first one that it gets, which it refuses once."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.events: list[dict[str, Any]] = []
        self.keys: set[str | None] = set()
        self.refused = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Any

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not self.server.refused:
            self.server.refused += 1
            self.send_response(503)
        else:
            self.server.keys.add(self.headers["Authorization"])
            self.server.events.append(json.loads(body))
            self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


async def test_a_run_is_told_from_its_start_to_its_end_in_order(
    scoring: ScorerRig, collector: Collector, tmp_path: Path
):
    key = tmp_path / "key"
    key.write_text("secret\n")
    told = {
        "SCORER_LINEAGE_URL": f"http://{collector.address}/api/v1/lineage",
        "SCORER_LINEAGE_KEY_FILE": str(key),
        "SCORER_WEBHOOK_ALLOW": collector.address,
        "SCORER_WEBHOOK_RETRY_S": "0.2",
    }
    scoring.put("in/a.parquet", parquet(features(1_000)))
    async with scorer(scoring, told) as (_, stub):
        job = await over(stub, (await created(stub, scoring.spec())).name)
        assert job.state == pb.ScoringJob.STATE_SUCCEEDED
        await eventually(lambda: collector.events and collector.events[-1]["eventType"] == "COMPLETE", within=60)
    types = [event["eventType"] for event in collector.events]
    assert (types[0], types[-1]) == ("START", "COMPLETE")
    assert "RUNNING" in types
    assert len({event["run"]["runId"] for event in collector.events}) == 1
    assert collector.keys == {"Bearer secret"}
    (output,) = collector.events[-1]["outputs"]
    assert f"{output['namespace']}/{output['name']}" == job.output_uri
    assert output["outputFacets"]["outputStatistics"]["rowCount"] == 1_000
