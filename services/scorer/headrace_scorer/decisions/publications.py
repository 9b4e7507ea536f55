"""The life of a publication: the answers of a job on their way to online requests. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field, replace
from datetime import datetime

from headrace_servicekit.errors import PreconditionFailed

from headrace_scorer.decisions.comparisons import Drifted, Parity
from headrace_scorer.decisions.jobs import Job
from headrace_scorer.decisions.jobs import State as JobState
from headrace_scorer.decisions.publish_specs import PublishSpec
from headrace_scorer.decisions.specs import Location

# A process that works on a publication may be lost this often in a row; then it is the publication's fault.
MAX_LOSSES = 5


class State(enum.StrEnum):
    """Where a publication is; publications.proto says what each means."""

    CHECKING = "checking"
    HELD = "held"
    PUBLISHING = "publishing"
    PUBLISHED = "published"
    REFUSED = "refused"
    FAILED = "failed"
    REVERTED = "reverted"

    @property
    def wants_work(self) -> bool:
        """Whether a process of the scorer has to do something for it."""
        return self in (State.CHECKING, State.PUBLISHING)


@dataclass(frozen=True, slots=True)
class Publication:
    """The publication of one job.

    attempt: number of the publishing attempt; each attempt writes a new generation. publish: resource name of the
    publish at the router. rows: entities published, of which `kept` were carried over from the previous generation, in
    `kept_file`. approved: client that approved a held publication. compared_with: job whose answers were the reference
    of the drift check.
    """

    job: int
    model: str
    version: str
    spec: PublishSpec
    client: str
    state: State = State.CHECKING
    reason: str = "a sample is compared with online answers"
    failure: str = ""
    attempt: int = 1
    publish: str = ""
    rows: int = 0
    kept: int = 0
    approved: str = ""
    parity: Parity | None = None
    drift: tuple[Drifted, ...] = field(default=())
    compared_with: int | None = None
    publish_time: datetime | None = None
    kept_file: Location | None = None
    revision: int = 0

    @property
    def name(self) -> str:
        """The resource name."""
        return f"models/{self.model}/scoringJobs/{self.job}/publication"

    @property
    def request_id(self) -> str:
        """Request id of the publish at the router; the same for every process that works on this attempt."""
        return f"scoringJobs/{self.job}/publication/{self.attempt}"


def begun(job: Job, spec: PublishSpec, client: str) -> Publication:
    """Return the publication of a job as it begins."""
    first = Publication(job.id, job.model, job.version.id, spec, client)
    return first if job.state is JobState.SUCCEEDED else replace(first, reason="waits until the job has succeeded")


def judged(
    publication: Publication,
    parity: Parity | None,
    unanswered: str,
    drift: tuple[Drifted, ...],
    compared_with: int | None,
) -> Publication:
    """Return the publication once its sample is compared.

    parity: None when no sample was asked for or none could be had; unanswered: why none could be had. drift: against
    the publication of the job `compared_with`, None when there is none.
    """
    seen = replace(publication, parity=parity, drift=drift, compared_with=compared_with)
    if parity is not None and parity.differing:
        first = parity.worst[0]
        message = (
            f"{parity.differing:,} of {parity.rows:,} sampled rows differ from what the version answers online, worst "
            f"entity '{first.entity}', {first.output}[{first.position}]: {first.scored} was scored, {first.online} is "
            "answered. Find out why, and publish again, with a larger tolerance if the difference is fine"
        )
        return replace(seen, state=State.REFUSED, reason=message, failure="PARITY")
    wants_sample = publication.spec.parity_rows > 0
    if wants_sample and (parity is None or parity.rows == 0) and not publication.approved:
        problem = unanswered or "no row was answered"
        message = f"no sample could be compared with online answers: {problem}. Or approve it"
        return replace(seen, state=State.HELD, reason=message, failure="PARITY_UNKNOWN")
    if drift and not publication.approved:
        first = drift[0]
        message = (
            f"the answers are distributed otherwise than those of job {compared_with}: {len(drift)} columns, first "
            f"{first.column} ({first.test} {first.effect:.3g}, {first.tolerance:.3g} is tolerated). Approve it if "
            "that is meant"
        )
        return replace(seen, state=State.HELD, reason=message, failure="DRIFT")
    return replace(seen, state=State.PUBLISHING, reason="answers are uploaded", failure="")


def approved(publication: Publication, client: str) -> Publication:
    """Approve a held publication. Raises PreconditionFailed in other states: a refused one failed the parity check."""
    if publication.state in (State.PUBLISHING, State.PUBLISHED):
        return publication
    if publication.state is not State.HELD:
        raise PreconditionFailed(
            f"{publication.name} is {publication.state.value}, and only what is held can be approved",
            reason="PUBLICATION_NOT_HELD",
        )
    approver = client or "an unknown client"
    message = f"approved by {approver}: answers are uploaded"
    return replace(publication, state=State.PUBLISHING, reason=message, failure="", approved=approver)


def again(publication: Publication, spec: PublishSpec | None, client: str) -> Publication:
    """Return the next attempt of a publication, which starts with the checks and writes a new generation.

    Raises PreconditionFailed if the publication is in progress or published.
    """
    if publication.state.wants_work or publication.state is State.PUBLISHED:
        how = "is published" if publication.state is State.PUBLISHED else "is on its way"
        raise PreconditionFailed(f"{publication.name} {how} already", reason="PUBLICATION_ACTIVE")
    return Publication(
        publication.job,
        publication.model,
        publication.version,
        spec or publication.spec,
        client,
        attempt=publication.attempt + 1,
    )


def published(
    publication: Publication, publish: str, rows: int, kept: int, now: datetime, kept_file: Location | None = None
) -> Publication:
    """Return the publication that counts online. rows: entities of the generation. kept: of them, of before."""
    carried = f", {kept:,} of them from the generation before" if kept else ""
    message = f"{rows:,} entities are answered from it{carried}"
    return replace(
        publication,
        state=State.PUBLISHED,
        reason=message,
        failure="",
        publish=publish,
        rows=rows,
        kept=kept,
        publish_time=now,
        kept_file=kept_file,
    )


def lost(publication: Publication, reason: str) -> Publication:
    """Return the publication after the router dropped its publish: the next attempt writes a new generation."""
    return replace(publication, attempt=publication.attempt + 1, publish="", reason=reason)


def disturbed(publication: Publication, problem: str, losses: int) -> Publication:
    """Return the publication after its process was lost. losses: number of losses in a row."""
    if not publication.state.wants_work:
        return publication
    if losses < MAX_LOSSES:
        return replace(publication, reason=f"waits: {problem}")
    message = f"the process that works on it was lost {losses} times ({problem}): give the scorer more memory"
    return failed(publication, "PROCESS_LOST", f"{message}, and publish again")


def failed(publication: Publication, failure: str, reason: str) -> Publication:
    """Return the failed publication. failure: code; reason: message."""
    return replace(publication, state=State.FAILED, failure=failure, reason=reason)


def reverted(publication: Publication, client: str) -> Publication:
    """Return the publication that no longer counts."""
    if publication.state not in (State.PUBLISHED, State.REVERTED):
        raise PreconditionFailed(
            f"{publication.name} is {publication.state.value}: only what is published can be reverted",
            reason="PUBLICATION_NOT_PUBLISHED",
        )
    return replace(publication, state=State.REVERTED, reason=f"reverted by {client or 'an unknown client'}")
