"""RolloutService: convert, call, convert."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress
from typing import Any

from headrace.rollout.v1 import rollout_pb2 as pb
from headrace.rollout.v1 import rollout_pb2_grpc
from headrace_servicekit.coordination.feeds import ChangeFeed
from headrace_servicekit.coordination.revisions import Changed, page_of, revisions
from headrace_servicekit.errors import Aborted, NotFound, ServiceError
from headrace_servicekit.identity import identity
from headrace_servicekit.pages import page_size, page_token
from headrace_servicekit.request_fields import kept_text, optional_id
from headrace_servicekit.resource_names import invalid

from headrace_rollout import answers, convert
from headrace_rollout.conclusion import Concluding
from headrace_rollout.decisions import policies, progress
from headrace_rollout.decisions.rollouts import Rollout
from headrace_rollout.release import Releasing
from headrace_rollout.start import Starting
from headrace_rollout.store import Decide, Store

# Attempts of a client's change if the rollout changes concurrently.
_TRIES = 20


class RolloutServicer(rollout_pb2_grpc.RolloutServiceServicer):
    """RolloutService over its use cases. changed: called when a rollout was changed. stopping: ends the watches."""

    def __init__(
        self,
        store: Store,
        starting: Starting,
        concluding: Concluding,
        releasing: Releasing,
        feed: ChangeFeed[Changed[Rollout]],
        changed: Callable[[], None],
        stopping: asyncio.Event,
    ) -> None:
        self._store, self._starting, self._concluding = store, starting, concluding
        self._releasing, self._feed = releasing, feed
        self._changed, self._stopping = changed, stopping

    async def PlanRollout(self, request: pb.PlanRolloutRequest, context: Any) -> pb.PlanRolloutResponse:
        return answers.to_plan(await self._starting.plan(convert.wanted_of(request)))

    async def StartRollout(self, request: pb.StartRolloutRequest, context: Any) -> pb.StartRolloutResponse:
        rollout = await self._starting.start(convert.wanted_of(request), convert.request_of(request))
        return pb.StartRolloutResponse(rollout=answers.to_rollout(rollout))

    async def GetRollout(self, request: pb.GetRolloutRequest, context: Any) -> pb.GetRolloutResponse:
        return pb.GetRolloutResponse(rollout=answers.to_rollout(await self._rollout(request.name)))

    async def ListRollouts(self, request: pb.ListRolloutsRequest, context: Any) -> pb.ListRolloutsResponse:
        size, before = page_size(request.page_size), page_token(request.page_token)
        model = optional_id(request.model, "model")
        found, token = await page_of(
            lambda below, limit: self._store.rollouts(before=below, model=model, running=request.running, limit=limit),
            lambda rollout: identity().sees(rollout.model),
            size=size,
            before=before,
        )
        shown = [answers.to_rollout(rollout) for rollout in found]
        return pb.ListRolloutsResponse(rollouts=shown, next_page_token=token)

    async def PauseRollout(self, request: pb.PauseRolloutRequest, context: Any) -> pb.PauseRolloutResponse:
        client, reason = identity().client, kept_text(request.reason, "reason")
        changed = await self._change(request.name, lambda one, _: progress.pause(one, client, reason))
        return pb.PauseRolloutResponse(rollout=changed)

    async def ResumeRollout(self, request: pb.ResumeRolloutRequest, context: Any) -> pb.ResumeRolloutResponse:
        client, reason = identity().client, kept_text(request.reason, "reason")
        changed = await self._change(request.name, lambda one, _: progress.resume(one, client, reason))
        return pb.ResumeRolloutResponse(rollout=changed)

    async def PromoteRollout(self, request: pb.PromoteRolloutRequest, context: Any) -> pb.PromoteRolloutResponse:
        client, reason = identity().client, kept_text(request.reason, "reason")
        if not reason:
            raise invalid("reason", "must not be empty: skipping a judgement needs a reason")
        step = request.step if request.HasField("step") else None
        changed = await self._change(request.name, lambda one, _: progress.skip(one, client, reason, step))
        return pb.PromoteRolloutResponse(rollout=changed)

    async def AbortRollout(self, request: pb.AbortRolloutRequest, context: Any) -> pb.AbortRolloutResponse:
        client, reason = identity().client, kept_text(request.reason, "reason")
        changed = await self._change(request.name, lambda one, now: progress.abort(one, client, reason, now))
        # One without traffic is over at once: the next rollout or promotion need not wait for the loop that releases.
        with suppress(ServiceError):
            await self._releasing.run()
        return pb.AbortRolloutResponse(rollout=changed)

    async def RunExperiment(self, request: pb.RunExperimentRequest, context: Any) -> pb.RunExperimentResponse:
        name = convert.experiment_name(request.name)
        return pb.RunExperimentResponse(moved_share=await self._concluding.run(name, dict(request.weights)))

    async def ConcludeExperiment(
        self, request: pb.ConcludeExperimentRequest, context: Any
    ) -> pb.ConcludeExperimentResponse:
        name, wanted = request.name, convert.promotion_of(request)
        if request.promote and request.keep_route:
            raise invalid("keep_route", "a variant that is promoted gets traffic: leave one of the two out")
        if not request.promote:
            done = await self._concluding.conclude(name, reason=wanted.reason, keep_route=request.keep_route)
        else:
            starts = convert.conclusion_of(request)
            done = await self._concluding.promote(name, request.promote, wanted, starts, anyway=request.anyway)
        answer = pb.ConcludeExperimentResponse(summary=done.summary, stopped_variants=done.stopped)
        if done.rollout is not None:
            answer.rollout.CopyFrom(answers.to_rollout(done.rollout))
        return answer

    async def ListRolloutEvents(
        self, request: pb.ListRolloutEventsRequest, context: Any
    ) -> pb.ListRolloutEventsResponse:
        size, before = page_size(request.page_size), page_token(request.page_token)
        rollout = await self._rollout(request.parent, "parent")
        found = await self._store.events(rollout.id, before=before, limit=size + 1)
        token = str(found[size - 1].number) if len(found) > size else ""
        return pb.ListRolloutEventsResponse(
            events=[answers.to_event(past) for past in found[:size]], next_page_token=token
        )

    async def WatchRollout(
        self, request: pb.WatchRolloutRequest, context: Any
    ) -> AsyncIterator[pb.WatchRolloutResponse]:
        rollout = await self._rollout(request.name)
        async with aclosing(revisions(self._feed, lambda: self._store.rollout(rollout.id), self._stopping)) as seen:
            async for revision in seen:
                yield pb.WatchRolloutResponse(rollout=answers.to_rollout(revision))

    async def GetRolloutTemplate(
        self, request: pb.GetRolloutTemplateRequest, context: Any
    ) -> pb.GetRolloutTemplateResponse:
        policy = await self._store.template(convert.model_of(request.parent)) or policies.DEFAULT
        return pb.GetRolloutTemplateResponse(policy=answers.to_policy(policies.completed(policy)))

    async def PutRolloutTemplate(
        self, request: pb.PutRolloutTemplateRequest, context: Any
    ) -> pb.PutRolloutTemplateResponse:
        model = convert.model_of(request.parent)
        policy = convert.policy_of(request.policy) if request.HasField("policy") else None
        await self._store.put_template(model, policy)
        return pb.PutRolloutTemplateResponse(policy=answers.to_policy(policies.completed(policy or policies.DEFAULT)))

    async def _rollout(self, name: str, field: str = "name") -> Rollout:
        model, id_ = convert.rollout_of(name, field)
        rollout = await self._store.rollout(id_)
        if rollout.model != model:
            raise NotFound(f"model '{model}' has no rollout {id_}", reason="ROLLOUT_NOT_FOUND")
        return rollout

    async def _change(self, name: str, decide: Decide) -> pb.Rollout:
        """Apply `decide` to a rollout; retry on a concurrent change."""
        rollout = await self._rollout(name)
        for attempt in range(1, _TRIES + 1):
            try:
                after = await self._store.change(rollout.id, decide)
            except Aborted as error:
                if error.reason != "ROLLOUT_CHANGED" or attempt == _TRIES:
                    raise
            else:
                self._changed()
                return answers.to_rollout(after)
        raise AssertionError("unreachable")
