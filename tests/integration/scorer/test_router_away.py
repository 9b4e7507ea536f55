"""Publications while the router's control plane is away: they wait, say so, and go on."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import grpc.aio
import pytest
from headrace.router.v1 import precomputed_pb2, precomputed_pb2_grpc
from headrace.scorer.v1 import publications_pb2 as pb
from headrace.scorer.v1 import publications_pb2_grpc, scorer_pb2, scorer_pb2_grpc
from headrace_servicekit.testing import eventually, free_port

from tests.kit.scorer.service import ScorerRig, created, features, over, parquet
from tests.kit.stack.service_process import service_process

ROWS = 300


class Router(precomputed_pb2_grpc.PrecomputedServiceServicer):
    """Takes one publish."""

    def __init__(self, outputs: Any) -> None:
        self._outputs = outputs
        self.request_ids: list[str] = []
        self.entities: list[str] = []
        self._publish = precomputed_pb2.Publish(name="models/fraud/versions/v1/publishes/1")

    def BeginPublish(self, request, context):
        self.request_ids.append(request.request_id)
        return precomputed_pb2.BeginPublishResponse(publish=self._publish, **self._limits())

    def GetPublish(self, request, context):
        return precomputed_pb2.GetPublishResponse(publish=self._publish, **self._limits())

    def UploadAnswers(self, request_iterator, context):
        for chunk in request_iterator:
            self.entities += chunk.entities
            self._publish.row_count = self._publish.entity_count = len(self.entities)
            yield precomputed_pb2.UploadAnswersResponse(row_count=len(self.entities))

    def CommitPublish(self, request, context):
        return precomputed_pb2.CommitPublishResponse(publish=self._publish)

    def _limits(self) -> dict[str, Any]:
        return {"outputs": self._outputs, "max_chunk_rows": 1000, "max_chunk_bytes": 1 << 20}

    @contextmanager
    def there(self, port: int) -> Iterator[None]:
        """Answer until the block ends."""
        server = grpc.server(ThreadPoolExecutor(4))
        precomputed_pb2_grpc.add_PrecomputedServiceServicer_to_server(self, server)
        server.add_insecure_port(f"127.0.0.1:{port}")
        server.start()
        try:
            yield
        finally:
            server.stop(grace=None).wait()


@pytest.mark.faults
async def test_while_the_router_is_away_results_are_scored_and_what_is_published_waits_and_goes_on(scoring: ScorerRig):
    scoring.put("in/a.parquet", parquet(features(ROWS)))
    port, router_port = free_port(), free_port()
    router = Router(scoring.model.contract.outputs)
    told = {"SCORER_PORT": str(port), "SCORER_CONTROL_TARGET": f"127.0.0.1:{router_port}"}
    environment = {**scoring.environment, **told}
    async with service_process("headrace_scorer", environment, port, parts=("", "postgres")) as (_, channel):
        stub: Any = publications_pb2_grpc.ScoringPublicationServiceStub(channel)
        publishing = scorer_pb2.Publishing(entity_column="id", parity_rows=0)
        jobs = scorer_pb2_grpc.ScorerServiceStub(channel)
        job = await over(jobs, (await created(jobs, scoring.spec(publishing=publishing))).name)
        assert job.state == scorer_pb2.ScoringJob.STATE_SUCCEEDED
        name = f"{job.name}/publication"

        async def reached(state: int, reason: str) -> bool:
            found = await stub.GetScoringPublication(pb.GetScoringPublicationRequest(name=name), timeout=10)
            return found.publication.state == state and reason in found.publication.reason

        await eventually(lambda: reached(pb.ScoringPublication.STATE_PUBLISHING, "waits: "), within=60, every=0.2)
        with router.there(router_port):
            await eventually(lambda: reached(pb.ScoringPublication.STATE_PUBLISHED, "300"), within=60, every=0.2)
        assert router.entities == [f"u{at}" for at in range(ROWS)]
        assert router.request_ids == [f"scoringJobs/{job.name.rpartition('/')[2]}/publication/1"]

        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.RevertScoringPublication(pb.RevertScoringPublicationRequest(name=name), timeout=30)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        assert await reached(pb.ScoringPublication.STATE_PUBLISHED, "300")
