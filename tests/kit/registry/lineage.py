"""Lineage for tests: OpenLineage's own classes, which RunEvents are held to, and a server that collects them.

assert plain(event) == plain(rebuilt(event))
with Collector.started() as collector:
    ... collector.url, collector.events ...
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from openlineage.client import event_v2
from openlineage.client.generated import (
    dataset_version_dataset,
    error_message_run,
    input_statistics_input_dataset,
    job_type_job,
    lifecycle_state_change_dataset,
    output_statistics_output_dataset,
    processing_engine_run,
    tags_dataset,
)
from openlineage.client.serde import Serde


def _change(*, lifecycleStateChange: str) -> Any:  # noqa: N803
    change = lifecycle_state_change_dataset.LifecycleStateChange(lifecycleStateChange)
    return lifecycle_state_change_dataset.LifecycleStateChangeDatasetFacet(change)


def _tags(*, tags: list[dict[str, str]]) -> Any:
    return tags_dataset.TagsDatasetFacet([tags_dataset.TagsDatasetFacetFields(**tag) for tag in tags])


_FACETS: dict[str, Any] = {
    "processing_engine": processing_engine_run.ProcessingEngineRunFacet,
    "errorMessage": error_message_run.ErrorMessageRunFacet,
    "jobType": job_type_job.JobTypeJobFacet,
    "version": dataset_version_dataset.DatasetVersionDatasetFacet,
    "inputStatistics": input_statistics_input_dataset.InputStatisticsInputDatasetFacet,
    "outputStatistics": output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet,
    "lifecycleStateChange": _change,
    "tags": _tags,
}


def rebuilt(event: dict[str, Any]) -> dict[str, Any]:
    """Return an event as OpenLineage's client writes the same one. Its classes refuse what does not belong there."""
    made = event_v2.RunEvent(
        eventType=event_v2.RunState(event["eventType"]),
        eventTime=event["eventTime"],
        producer=event["producer"],
        run=event_v2.Run(runId=event["run"]["runId"], facets=_facets(event["run"]["facets"])),
        job=event_v2.Job(
            namespace=event["job"]["namespace"], name=event["job"]["name"], facets=_facets(event["job"]["facets"])
        ),
        inputs=[_dataset(event_v2.InputDataset, one, "inputFacets") for one in event["inputs"]],
        outputs=[_dataset(event_v2.OutputDataset, one, "outputFacets") for one in event["outputs"]],
    )
    return Serde.to_dict(made)


def plain(value: Any) -> Any:
    """Return an event without who made a facet, and without what is empty."""
    if isinstance(value, dict):
        return {
            key: plain(one) for key, one in value.items() if key not in ("_producer",) and one not in ({}, [], None)
        }
    return [plain(one) for one in value] if isinstance(value, list) else value


def _facets(given: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _FACETS[name](**{key: value for key, value in facet.items() if not key.startswith("_")})
        for name, facet in given.items()
    }


def _dataset(kind: Any, given: dict[str, Any], own: str) -> Any:
    told = {own: _facets(given[own])} if own in given else {}
    return kind(namespace=given["namespace"], name=given["name"], facets=_facets(given["facets"]), **told)


class Collector(ThreadingHTTPServer):
    """Takes RunEvents unless it `refuses`, in order. refused: how many it did not take. keys: what they came with."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.events: list[dict[str, Any]] = []
        self.keys: set[str | None] = set()
        self.refuses = False
        self.refused = 0

    @classmethod
    @contextmanager
    def started(cls) -> Iterator[Self]:
        """Run one until the block ends."""
        with cls() as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                yield server
            finally:
                server.shutdown()
                thread.join()

    @property
    def address(self) -> str:
        """Return what an operator allows."""
        return f"127.0.0.1:{self.server_port}"

    @property
    def url(self) -> str:
        """Return where RunEvents go."""
        return f"http://{self.address}/api/v1/lineage"


class _Handler(BaseHTTPRequestHandler):
    server: Any

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.refuses:
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
