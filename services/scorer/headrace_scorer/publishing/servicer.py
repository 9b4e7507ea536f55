"""ScoringPublicationService: convert, call, convert."""

from __future__ import annotations

from headrace.scorer.v1 import publications_pb2 as pb
from headrace.scorer.v1 import publications_pb2_grpc
from headrace_servicekit.errors import FieldViolation, refuse
from headrace_servicekit.identity import identity
from headrace_servicekit.request_fields import kept_text
from headrace_servicekit.resource_names import ids

from headrace_scorer.convert import job_of
from headrace_scorer.decisions.comparisons import Drifted, Parity
from headrace_scorer.decisions.publications import Publication, State
from headrace_scorer.publish_messages import publish_spec, to_publishing
from headrace_scorer.publishing.review import Deciding

_STATES = {
    State.CHECKING: pb.ScoringPublication.STATE_CHECKING,
    State.HELD: pb.ScoringPublication.STATE_HELD,
    State.PUBLISHING: pb.ScoringPublication.STATE_PUBLISHING,
    State.PUBLISHED: pb.ScoringPublication.STATE_PUBLISHED,
    State.REFUSED: pb.ScoringPublication.STATE_REFUSED,
    State.FAILED: pb.ScoringPublication.STATE_FAILED,
    State.REVERTED: pb.ScoringPublication.STATE_REVERTED,
}


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
        return pb.PublishScoringJobResponse(publication=to_publication(publication))

    async def ApproveScoringPublication(self, request, context):
        reason = kept_text(request.reason, "reason")
        publication = await self._deciding.approve(*publication_of(request.name), identity().client, reason)
        return pb.ApproveScoringPublicationResponse(publication=to_publication(publication))

    async def RevertScoringPublication(self, request, context):
        reason = kept_text(request.reason, "reason")
        publication = await self._deciding.revert(*publication_of(request.name), identity().client, reason)
        return pb.RevertScoringPublicationResponse(publication=to_publication(publication))

    async def GetScoringPublication(self, request, context):
        publication = await self._deciding.publication(*publication_of(request.name))
        return pb.GetScoringPublicationResponse(publication=to_publication(publication))


def publication_of(text: str) -> tuple[str, int]:
    """Return model and job of a publication's name. Raises InvalidArgument."""
    model, number = ids(text, "name", "models/{model}/scoringJobs/{number}/publication")
    return model, int(number)


def to_publication(publication: Publication) -> pb.ScoringPublication:
    """Return a publication."""
    message = pb.ScoringPublication(
        name=publication.name,
        state=_STATES[publication.state],
        reason=publication.reason,
        failure=publication.failure,
        publishing=to_publishing(publication.spec),
        publish=publication.publish,
        entities=publication.rows,
        kept_entities=publication.kept,
        parity=_parity(publication.parity) if publication.parity is not None else None,
        drift=[_drift(one) for one in publication.drift],
        client=publication.client,
        approved_by=publication.approved,
    )
    if publication.compared_with is not None:
        message.compared_with = f"models/{publication.model}/scoringJobs/{publication.compared_with}"
    if publication.publish_time is not None:
        message.publish_time.FromDatetime(publication.publish_time)
    return message


def _parity(parity: Parity) -> pb.ScoringPublication.Parity:
    worst = [
        pb.ScoringPublication.Pair(
            entity=one.entity, output=one.output, position=one.position, scored=one.scored, online=one.online,
            excess=one.excess,
        )
        for one in parity.worst
    ]  # fmt: skip
    return pb.ScoringPublication.Parity(rows=parity.rows, differing=parity.differing, worst=worst)


def _drift(one: Drifted) -> pb.ScoringPublication.Drift:
    return pb.ScoringPublication.Drift(
        column=one.column, test=one.test, effect=one.effect, tolerance=one.tolerance, severity=one.severity
    )
