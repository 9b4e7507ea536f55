"""ScoringPublicationService: convert, call, convert."""

from __future__ import annotations

from headrace.scorer.v1 import publications_pb2 as pb
from headrace.scorer.v1 import publications_pb2_grpc
from headrace_servicekit.errors import FieldViolation, refuse
from headrace_servicekit.identity import identity
from headrace_servicekit.request_fields import kept_text

from headrace_scorer.convert import job_of
from headrace_scorer.publish_messages import publish_spec
from headrace_scorer.publishing import convert
from headrace_scorer.publishing.review import Deciding


class PublicationServicer(publications_pb2_grpc.ScoringPublicationServiceServicer):
    """Answers by the use cases."""

    def __init__(self, deciding: Deciding) -> None:
        self._deciding = deciding

    async def PublishScoringJob(self, request, context):
        model, job = job_of(request.name)
        reason = kept_text(request.reason, "reason")
        spec, wrong = None, list[FieldViolation]()
        if request.HasField("publishing"):
            spec = publish_spec(request.publishing, "publishing", wrong)
        refuse(wrong)
        publication = await self._deciding.publish(model, job, spec, identity().client, reason)
        return pb.PublishScoringJobResponse(publication=convert.to_publication(publication))

    async def ApproveScoringPublication(self, request, context):
        reason = kept_text(request.reason, "reason")
        publication = await self._deciding.approve(*convert.publication_of(request.name), identity().client, reason)
        return pb.ApproveScoringPublicationResponse(publication=convert.to_publication(publication))

    async def RevertScoringPublication(self, request, context):
        reason = kept_text(request.reason, "reason")
        publication = await self._deciding.revert(*convert.publication_of(request.name), identity().client, reason)
        return pb.RevertScoringPublicationResponse(publication=convert.to_publication(publication))

    async def GetScoringPublication(self, request, context):
        publication = await self._deciding.publication(*convert.publication_of(request.name))
        return pb.GetScoringPublicationResponse(publication=convert.to_publication(publication))
