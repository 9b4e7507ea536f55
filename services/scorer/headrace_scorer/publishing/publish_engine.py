"""What publishing asks of the engine's processes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

from headrace_scorer.decisions.jobs import Job
from headrace_scorer.decisions.publications import Publication
from headrace_scorer.engine.messages import Checked
from headrace_scorer.engine.publish_orders import (
    Answered,
    CheckAnswer,
    CheckOrder,
    Peers,
    UploadAnswer,
    UploadOrder,
)
from headrace_scorer.engine_processes import ProcessLost, answers
from headrace_scorer.job_engine import Engine
from headrace_scorer.settings import ScorerSettings

CHECKING = "headrace_scorer.engine.check"
PUBLISHING = "headrace_scorer.engine.upload"


class PublishEngine:
    """The engine, as publications use it."""

    def __init__(self, settings: ScorerSettings, engine: Engine) -> None:
        self._engine = engine
        cert, key, ca = (
            None if path is None else str(path) for path in (settings.tls_cert, settings.tls_key, settings.tls_ca)
        )
        self._peers = Peers(settings.data_target, settings.control_target, cert, key, ca)

    async def checked(self, job: Job, publication: Publication, answered: Answered, before: str) -> CheckAnswer:
        """Return what a comparison of answers found. Raises ProcessLost."""
        plan = job.plan
        assert plan is not None
        order = CheckOrder(
            work=self._engine.work(job),
            checked=Checked(tensors=plan.tensors, read=plan.read, types=plan.types),
            answered=answered,
            model=job.model,
            version=job.version.id,
            spec=publication.spec,
            peers=self._peers,
            before=before or None,
        )
        async with aclosing(answers(CHECKING, order, CheckAnswer, self._engine.environment)) as heard:
            async for answer in heard:
                return answer
        raise ProcessLost("the process that compares answers said nothing")

    async def uploaded(
        self, job: Job, publication: Publication, answered: Answered, before: Answered | None
    ) -> AsyncIterator[UploadAnswer]:
        """Yield how far a publish is. before: whose entities are kept. Raises ProcessLost."""
        with self._engine.own_folder() as folder:
            order = UploadOrder(
                work=self._engine.work(job),
                answered=answered,
                model=job.model,
                version=job.version.id,
                version_digest=job.version.digest,
                manifest_digest=job.manifest.digest if job.manifest is not None else "",
                spec=publication.spec,
                request_id=publication.request_id,
                run=job.name,
                peers=self._peers,
                folder=folder,
                before=before,
            )
            async with aclosing(answers(PUBLISHING, order, UploadAnswer, self._engine.environment)) as heard:
                async for answer in heard:
                    yield answer
