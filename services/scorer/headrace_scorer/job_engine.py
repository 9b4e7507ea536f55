"""What the service asks of the engine's processes."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

from headrace.tensor.v1 import tensor_pb2

from headrace_scorer.decisions.jobs import Job
from headrace_scorer.decisions.shards import Shard
from headrace_scorer.decisions.specs import Engine as ScoringEngine
from headrace_scorer.engine.folders import own_prefix, tidy
from headrace_scorer.engine.messages import (
    Access,
    Checked,
    EstimateAnswer,
    EstimateOrder,
    PlanAnswer,
    PlanOrder,
    PoolAccess,
    RunAnswer,
    RunOrder,
    Work,
)
from headrace_scorer.engine_processes import DRIVING, ESTIMATING, PLANNING, ProcessLost, answers
from headrace_scorer.settings import ScorerSettings
from headrace_scorer.sources import SourceUnusable, access_of

# Of ours, what such a process gets: where libraries and the keys of a cloud are.
_PASSED = ("PATH", "HOME", "LANG", "LOCPATH", "TZ", "PYTHONPATH", "LD_LIBRARY_PATH")

# Shards that a sample is of at most.
_MOST_SAMPLED = 1000
# Limit of a source's copy, which then starts over; the database's own query timeout is shorter.
COPY_S = 7 * 3600.0


class Engine:
    """The engine, with the settings of this process."""

    def __init__(self, settings: ScorerSettings) -> None:
        self._settings = settings
        tidy(Path(settings.work_dir or gettempdir()))
        keep = {name: os.environ[name] for name in _PASSED if name in os.environ}
        # Of the cloud, and of a Ray cluster, whose token may be there.
        keep |= {name: value for name, value in os.environ.items() if name.startswith(("AWS_", "RAY_"))}
        # One thread for each process: there are as many of these as cores.
        self.environment = {**keep, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

    async def checked(self, job: Job) -> Checked:
        """Return how the columns of the first object of an input fit the contract."""
        _, found = await self._planned(job, whole=False)
        assert found.checked is not None
        return found.checked

    async def planned(self, job: Job) -> tuple[list[Shard], PlanAnswer]:
        """Return the shards of an input, and what was found. Raises ProcessLost."""
        return await self._planned(job, whole=True)

    async def _planned(self, job: Job, *, whole: bool) -> tuple[list[Shard], PlanAnswer]:
        source, settings = None, self._settings
        if job.spec.source is not None:
            try:
                source = access_of(job.spec.source, settings.sources_file)
            except SourceUnusable as error:
                failure = "SOURCE_UNAVAILABLE" if error.transient else "SOURCE_UNUSABLE"
                return [], PlanAnswer(checked=Checked(failure=failure, reason=str(error)), transient=error.transient)
        if source is None or not whole:
            return await self._answered(PlanOrder(self.work(job), whole, settings.max_objects, source))
        with self.own_folder() as folder:
            try:
                async with asyncio.timeout(COPY_S):
                    return await self._answered(PlanOrder(self.work(job), whole, settings.max_objects, source, folder))
            except TimeoutError:
                message = f"the rows of {job.spec.reads} were not copied within {COPY_S:,.0f} s: look at the source"
                return [], PlanAnswer(checked=Checked(failure="SOURCE_UNAVAILABLE", reason=message), transient=True)

    async def _answered(self, order: PlanOrder) -> tuple[list[Shard], PlanAnswer]:
        shards: list[Shard] = []
        async with aclosing(answers(PLANNING, order, PlanAnswer, self.environment)) as heard:
            async for answer in heard:
                shards += answer.shards
                if answer.checked is not None:
                    return shards, answer
        raise ProcessLost("the process that checks the input said nothing")

    async def sampled(self, job: Job, checked: Checked, shards: Sequence[Shard]) -> EstimateAnswer:
        """Return what scoring a sample of some shards took, the first ones first. Raises ProcessLost."""
        some = tuple(shards[:_MOST_SAMPLED])
        with self.own_folder() as folder:
            order = EstimateOrder(self.work(job), checked, some, job.spec.options.batch_rows, folder)
            async with aclosing(answers(ESTIMATING, order, EstimateAnswer, self.environment)) as heard:
                async for answer in heard:
                    return answer
        raise ProcessLost("the process that scores a sample said nothing")

    @property
    def workers(self) -> int:
        """Processes that score for one job at once."""
        return self._settings.workers

    async def run(self, job: Job, shards: list[Shard]) -> AsyncGenerator[RunAnswer]:
        """Yield what becomes of shards. Raises ProcessLost."""
        settings, plan = self._settings, job.plan
        assert plan is not None
        with self.own_folder() as folder:
            order = RunOrder(
                work=self.work(job),
                checked=Checked(tensors=plan.tensors, read=plan.read, types=plan.types),
                shards=tuple(shards),
                workers=min(job.spec.options.workers or settings.workers, settings.workers),
                batch_rows=job.spec.options.batch_rows or job.batch_rows,
                ray_address=settings.ray_address,
                folder=folder,
                object_store_bytes=settings.ray_object_store_bytes,
            )
            async with aclosing(answers(DRIVING, order, RunAnswer, self.environment)) as heard:
                async for answer in heard:
                    yield answer

    def own_folder(self) -> TemporaryDirectory[str]:
        """Return a folder for a process's files. Of a scorer that is killed, the next one removes it."""
        return TemporaryDirectory(prefix=own_prefix(), dir=self._settings.work_dir, ignore_cleanup_errors=True)

    def work(self, job: Job) -> Work:
        """Return a job as its processes get it."""
        settings = self._settings
        file = settings.s3_credentials_file
        access = Access(
            settings.s3_endpoint, settings.s3_region, None if file is None else str(file), settings.registry_bucket
        )
        pool = self._pool(job) if job.spec.options.engine is ScoringEngine.POOL else None
        return Work(job.name, job.spec, job.version.contract, job.version.sha256, job.output, access, pool)

    def _pool(self, job: Job) -> PoolAccess:
        settings = self._settings
        cert, key, ca = (
            None if path is None else str(path) for path in (settings.tls_cert, settings.tls_key, settings.tls_ca)
        )
        contract = tensor_pb2.ServingContract.FromString(base64.b64decode(job.version.contract))
        return PoolAccess(
            control=settings.control_target,
            pool=job.spec.options.pool,
            model=job.model,
            version=job.version.id,
            digest=job.version.digest,
            inputs=len(contract.inputs),
            client=job.client or job.holder,
            max_message_bytes=settings.max_message_bytes,
            tls_cert=cert,
            tls_key=key,
            tls_ca=ca,
            tls_names=settings.batchers,
        )
