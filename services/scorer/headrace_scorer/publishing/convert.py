"""Publications between messages and values."""

from __future__ import annotations

from headrace.scorer.v1 import publications_pb2 as pb
from headrace_servicekit.resource_names import ids

from headrace_scorer.decisions.comparisons import Drifted, Parity
from headrace_scorer.decisions.publications import Publication, State
from headrace_scorer.publish_messages import to_publishing

_STATES = {
    State.CHECKING: pb.ScoringPublication.STATE_CHECKING,
    State.HELD: pb.ScoringPublication.STATE_HELD,
    State.PUBLISHING: pb.ScoringPublication.STATE_PUBLISHING,
    State.PUBLISHED: pb.ScoringPublication.STATE_PUBLISHED,
    State.REFUSED: pb.ScoringPublication.STATE_REFUSED,
    State.FAILED: pb.ScoringPublication.STATE_FAILED,
    State.REVERTED: pb.ScoringPublication.STATE_REVERTED,
}


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
