"""PrecomputedService: how answers are published, and what is kept."""

from __future__ import annotations

import contextlib

from headrace.router.v1 import precomputed_pb2, precomputed_pb2_grpc, route_pb2
from headrace_servicekit.clock import Clock
from headrace_servicekit.errors import FieldViolation, InvalidArgument, ServiceError
from headrace_servicekit.identity import identity, model_not_found

from headrace_router.control.messages import answers
from headrace_router.control.precomputed import convert
from headrace_router.control.precomputed.decisions.publishes import Answers, Condition
from headrace_router.control.precomputed.limits import MAX_CHUNK_BYTES, MAX_CHUNK_ROWS
from headrace_router.control.precomputed.publications import Publishing
from headrace_router.control.precomputed.reads import PublishReader
from headrace_router.control.precomputed.uploads import Upload, Uploading
from headrace_router.control.state.feeds import not_loaded
from headrace_router.control.state.view import View


class PrecomputedServicer(precomputed_pb2_grpc.PrecomputedServiceServicer):
    """Convert, call, convert."""

    def __init__(
        self, view: View, publishing: Publishing, uploading: Uploading, publish_reader: PublishReader, clock: Clock
    ) -> None:
        self._view, self._publishing, self._uploading = view, publishing, uploading
        self._publish_reader, self._clock = publish_reader, clock

    async def BeginPublish(self, request, context):
        model, version = convert.version_of(request.parent, "parent")
        declared = convert.declared(request, identity().client, self._clock.now())
        self._check_loaded()
        publish = await self._publishing.begin(model, version, declared, context.time_remaining())
        outputs = await self._publishing.outputs(publish.digest)
        return precomputed_pb2.BeginPublishResponse(
            publish=convert.publish_to_proto(publish),
            outputs=convert.outputs_to_proto(outputs),
            max_chunk_rows=MAX_CHUNK_ROWS,
            max_chunk_bytes=MAX_CHUNK_BYTES,
        )

    async def UploadAnswers(self, request_iterator, context):
        self._check_loaded()
        upload: Upload | None = None
        try:
            async for message in request_iterator:
                if upload is None:
                    upload = await self._uploading.begin(*convert.publish_of(message.name))
                elif message.name and message.name != upload.publish.name:
                    problem = f"the stream is for {upload.publish.name}"
                    raise InvalidArgument(f"name: {problem}", violations=[FieldViolation("name", problem)])
                rows = await upload.add(convert.chunk_of(message))
                yield precomputed_pb2.UploadAnswersResponse(row_count=rows)
            if upload is not None:
                await upload.note()
        except Exception:  # of one that was cancelled the last note does: the stores may be closing
            if upload is not None:
                with contextlib.suppress(ServiceError):
                    await upload.note()
            raise

    async def CommitPublish(self, request, context):
        model, version, generation = convert.publish_of(request.name)
        acknowledged = convert.count(request.row_count, "row_count")
        self._check_loaded()
        publish = await self._publishing.found(model, version, generation)
        publish = await self._publishing.commit(publish, acknowledged, context.time_remaining)
        return precomputed_pb2.CommitPublishResponse(
            publish=convert.publish_to_proto(publish), status=self._status(model)
        )

    async def AbortPublish(self, request, context):
        self._check_loaded()
        publish = await self._publishing.found(*convert.publish_of(request.name))
        await self._publishing.abort(publish, f"by {identity().client}")
        return precomputed_pb2.AbortPublishResponse()

    async def GetPublish(self, request, context):
        self._check_loaded()
        publish = await self._publishing.get(*convert.publish_of(request.name))
        outputs = await self._publishing.outputs(publish.digest)
        return precomputed_pb2.GetPublishResponse(
            publish=convert.publish_to_proto(publish),
            outputs=convert.outputs_to_proto(outputs),
            max_chunk_rows=MAX_CHUNK_ROWS,
            max_chunk_bytes=MAX_CHUNK_BYTES,
        )

    async def RevertPrecomputed(self, request, context):
        model, version = convert.version_of(request.name, "name")
        expected = convert.count(request.generation, "generation")
        self._check_loaded()
        await self._publishing.revert(model, version, expected, context.time_remaining)
        kept = [one for one in await self._publish_reader.of_model(model) if one.version == version]
        now = kept[0] if kept else Answers(version, Condition.NONE, None, None)
        return precomputed_pb2.RevertPrecomputedResponse(
            answers=convert.answers_to_proto(now), status=self._status(model)
        )

    async def ListPrecomputed(self, request, context):
        model = convert.model_of(request.parent, "parent")
        self._check_loaded()
        kept = await self._publish_reader.of_model(model, context.time_remaining())
        return precomputed_pb2.ListPrecomputedResponse(answers=[convert.answers_to_proto(one) for one in kept])

    def _status(self, model: str) -> route_pb2.RouteStatus:
        state = self._view.mirror.state(model)
        if state is None:
            raise model_not_found(model)
        return answers.status_to_proto(self._view.status(state))

    def _check_loaded(self) -> None:
        if not self._view.mirror.loaded:
            raise not_loaded()
