"""The router's PrecomputedService in memory, which a test stops at whatever stage of a publish it wants to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from headrace.router.v1 import precomputed_pb2 as pb
from headrace.router.v1 import precomputed_pb2_grpc

STAGES = ("begin", "begun", "uploading", "uploaded", "commit", "committed")
CHUNK_ROWS = 50


@dataclass(slots=True)
class Generation:
    """One generation. entities: of its rows, in their order."""

    number: int
    request_id: str
    version: str
    entities: list[str] = field(default_factory=list)
    state: int = pb.Publish.STATE_OPEN


class PublishRouter(precomputed_pb2_grpc.PrecomputedServiceServicer):
    """Keeps generations. at: called with a stage and its number when it is reached; may take its time, or raise."""

    def __init__(self, outputs: Any) -> None:
        self._outputs = outputs
        self.generations: list[Generation] = []
        self.at: Callable[[str], None] = lambda stage: None
        self._lock = threading.RLock()
        self._server: grpc.Server | None = None

    @property
    def in_force(self) -> list[Generation]:
        """Return what was committed and not reverted, the latest last."""
        return [one for one in self.generations if one.state == pb.Publish.STATE_COMMITTED]

    def BeginPublish(self, request, context):
        self.at("begin")
        with self._lock:
            found = next((one for one in self.generations if one.request_id == request.request_id), None)
            if found is None:
                found = Generation(len(self.generations) + 1, request.request_id, request.parent)
                self.generations.append(found)
        self.at("begun")
        return pb.BeginPublishResponse(publish=self._message(found), **self._limits())

    def GetPublish(self, request, context):
        return pb.GetPublishResponse(publish=self._message(self._of(request.name)), **self._limits())

    def UploadAnswers(self, request_iterator, context):
        generation: Generation | None = None
        for chunk in request_iterator:
            generation = self._of(chunk.name) if chunk.name else generation
            assert generation is not None
            if generation.state != pb.Publish.STATE_OPEN:
                context.abort(grpc.StatusCode.ABORTED, "the publish was committed")
            with self._lock:
                have = len(generation.entities)
                if chunk.first_row > have:
                    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "rows are missing")
                generation.entities += list(chunk.entities)[have - chunk.first_row :]
            self.at("uploading")
            yield pb.UploadAnswersResponse(row_count=len(generation.entities))
        self.at("uploaded")

    def CommitPublish(self, request, context):
        self.at("commit")
        generation = self._of(request.name)
        with self._lock:
            if request.row_count and request.row_count != len(generation.entities):
                context.abort(grpc.StatusCode.FAILED_PRECONDITION, "rows are missing")
            generation.state = pb.Publish.STATE_COMMITTED
        self.at("committed")
        return pb.CommitPublishResponse(publish=self._message(generation))

    def RevertPrecomputed(self, request, context):
        for one in self.in_force:
            if one.number == request.generation:
                one.state = pb.Publish.STATE_ABORTED
        return pb.RevertPrecomputedResponse()

    @contextmanager
    def there(self, port: int) -> Iterator[None]:
        """Answer until the block ends, but for while it is away."""
        self.come(port)
        try:
            yield
        finally:
            self.go()

    def come(self, port: int) -> None:
        """Answer at a port."""
        self._server = grpc.server(ThreadPoolExecutor(8))
        precomputed_pb2_grpc.add_PrecomputedServiceServicer_to_server(self, self._server)
        self._server.add_insecure_port(f"127.0.0.1:{port}")
        self._server.start()

    def go(self) -> None:
        """Break every connection, and answer no more."""
        if self._server is not None:
            self._server.stop(grace=None)
            self._server = None

    def _of(self, name: str) -> Generation:
        return self.generations[int(name.rpartition("/")[2]) - 1]

    def _message(self, one: Generation) -> pb.Publish:
        name = f"{one.version}/publishes/{one.number}"
        count = len(one.entities)
        return pb.Publish(name=name, state=one.state, generation=one.number, row_count=count, entity_count=count)  # type: ignore[arg-type]

    def _limits(self) -> dict[str, Any]:
        return {"outputs": self._outputs, "max_chunk_rows": CHUNK_ROWS, "max_chunk_bytes": 1 << 20}
