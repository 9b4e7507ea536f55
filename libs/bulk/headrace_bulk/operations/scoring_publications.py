"""Results of scoring jobs as answers that online requests find."""

from __future__ import annotations

from headrace.scorer.v1 import publications_pb2 as pb
from headrace.scorer.v1 import scorer_pb2
from headrace_client.calls import Operation, Pause, Session, invoke
from headrace_client.errors import DeadlineExceeded

DEFAULT_TIMEOUT_S = 30.0
REVERT_TIMEOUT_S = 60.0
LOOK_EVERY_S = 0.5
ON_THE_WAY = (pb.ScoringPublication.STATE_CHECKING, pb.ScoringPublication.STATE_PUBLISHING)


def publish_scoring_job(
    session: Session,
    job: str,
    *,
    publishing: scorer_pb2.Publishing | None = None,
    reason: str = "",
    timeout: float = DEFAULT_TIMEOUT_S,
) -> Operation[pb.ScoringPublication]:
    """Publish the results of a job, or try again. publishing: None for what the job's spec says.

    job: models/{model}/scoringJobs/{id}. Raises PreconditionFailed, reason SCORING_JOB_NOT_SUCCEEDED or
    PUBLICATION_ACTIVE.
    """
    request = pb.PublishScoringJobRequest(name=job, publishing=publishing, reason=reason)
    answer = yield from invoke(session, pb.PublishScoringJobResponse, request, timeout_s=timeout, idempotent=False)
    return answer.publication


def get_scoring_publication(
    session: Session, job: str, *, timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[pb.ScoringPublication]:
    """Return where the results of a job are. Raises NotFound, reason PUBLICATION_NOT_FOUND."""
    request = pb.GetScoringPublicationRequest(name=f"{job}/publication")
    return (yield from invoke(session, pb.GetScoringPublicationResponse, request, timeout_s=timeout)).publication


def await_scoring_publication(
    session: Session, job: str, *, timeout: float = 3600.0
) -> Operation[pb.ScoringPublication]:
    """Return the publication of a job once nothing happens to it by itself: published, held, refused or failed.

    Raises DeadlineExceeded when it takes longer.
    """
    until = session.monotonic() + timeout
    while True:
        publication = yield from get_scoring_publication(session, job)
        if publication.state not in ON_THE_WAY:
            return publication
        if session.monotonic() > until:
            raise DeadlineExceeded(f"{publication.name} is on its way after {timeout:g} s: {publication.reason}")
        yield Pause(LOOK_EVERY_S)


def approve_scoring_publication(
    session: Session, job: str, *, reason: str = "", timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[pb.ScoringPublication]:
    """Let a held publication through. Raises PreconditionFailed, reason PUBLICATION_NOT_HELD."""
    request = pb.ApproveScoringPublicationRequest(name=f"{job}/publication", reason=reason)
    return (yield from invoke(session, pb.ApproveScoringPublicationResponse, request, timeout_s=timeout)).publication


def revert_scoring_publication(
    session: Session, job: str, *, reason: str = "", timeout: float = REVERT_TIMEOUT_S
) -> Operation[pb.ScoringPublication]:
    """Make the answers before those of a job count again.

    Raises PreconditionFailed, and Aborted when others count by now.
    """
    request = pb.RevertScoringPublicationRequest(name=f"{job}/publication", reason=reason)
    return (yield from invoke(session, pb.RevertScoringPublicationResponse, request, timeout_s=timeout)).publication
