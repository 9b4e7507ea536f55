"""The end of an experiment: its traffic goes back to the control, and the variant that won is rolled out."""

from __future__ import annotations

from dataclasses import dataclass

import structlog
from headrace.monitor.v1 import experiment_pb2
from headrace_servicekit.errors import PreconditionFailed, ServiceError

from headrace_rollout.decisions import concluding
from headrace_rollout.decisions.rollouts import Rollout
from headrace_rollout.experiments import Experiments
from headrace_rollout.peers import Routes
from headrace_rollout.starting import Starting, Wanted
from headrace_rollout.store import Request

log = structlog.get_logger()

_Analysis = experiment_pb2.AnalyseExperimentResponse
_HARM = (_Analysis.VERDICT_GUARDRAIL_HARMED, _Analysis.VERDICT_SHARES_WRONG)


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What was done. summary: what the data said. stopped: variants whose traffic the control has now."""

    summary: str
    stopped: list[str]
    rollout: Rollout | None = None


class Concluding:
    """The use cases behind ConcludeExperiment, and behind experiments that are stopped on harm."""

    def __init__(self, experiments: Experiments, routes: Routes, starting: Starting) -> None:
        self._experiments, self._routes, self._starting = experiments, routes, starting
        self._told: dict[str, str] = {}

    async def conclude(self, name: str, *, reason: str) -> Conclusion:
        """End an experiment and give its traffic back. Raises what the monitor or the control plane answers."""
        experiment = await self._experiments.get(name)
        analysis = await self._experiments.analyse(name)
        stopped = await self._end(experiment, reason or analysis.summary)
        return Conclusion(analysis.summary, stopped)

    async def promote(self, name: str, variant: str, wanted: Wanted, request: Request, *, anyway: bool) -> Conclusion:
        """End an experiment and roll the version of a variant out to the control. wanted: the rollout, without what
        the route says.

        Raises PreconditionFailed, reason EXPERIMENT_UNDECIDED, and as `conclude` and `Starting.start`.
        """
        experiment = await self._experiments.get(name)
        analysis = await self._experiments.analyse(name)
        control, *others = (one.name for one in experiment.variants)
        if variant not in others:
            told = f"'{variant}' is none of the variants beside the control: {', '.join(others)}"
            raise PreconditionFailed(told, reason="VARIANT_GONE")
        better = analysis.verdict == _Analysis.VERDICT_BETTER and analysis.variant == variant
        if not better and not anyway:
            told = f"the data do not say that '{variant}' is better: {analysis.summary}; `anyway` promotes it"
            raise PreconditionFailed(told, reason="EXPERIMENT_UNDECIDED")
        route, _ = await self._routes.route(wanted.model)
        version = next((one.serving_version for one in route.variants if one.name == variant), "")
        if not version:
            raise PreconditionFailed(f"the route serves no variant '{variant}' any more", reason="VARIANT_GONE")
        stopped = await self._end(experiment, wanted.reason or analysis.summary, keep=variant)
        asked = Wanted(wanted.model, version, control, wanted.policy, wanted.client, wanted.reason or analysis.summary)
        return Conclusion(analysis.summary, stopped, await self._starting.start(asked, request))

    async def guard(self) -> bool:
        """Stop the experiments that harm, of those that are to be stopped on harm, and return that there is no more to
        do at once. One that cannot be stopped is told, and tried again with the next call.
        """
        names = await self._experiments.guarded()
        self._told = {name: told for name, told in self._told.items() if name in names}
        for name in names:
            try:
                analysis = await self._experiments.analyse(name)
                if analysis.verdict in _HARM:
                    stopped = await self._end(await self._experiments.get(name), f"stopped: {analysis.summary}")
                    log.warning("experiment stopped", experiment=name, variants=stopped, reason=analysis.summary)
            except ServiceError as error:
                if self._told.get(name) != error.public_message:
                    log.warning("an experiment waits", experiment=name, reason=error.public_message)
                    self._told[name] = error.public_message
        return False

    async def _end(self, experiment: experiment_pb2.Experiment, reason: str, keep: str = "") -> list[str]:
        model = experiment.name.split("/")[1]
        if experiment.state == experiment_pb2.Experiment.STATE_ENDED:
            running = await self._experiments.running(model)
            if running is not None:  # the route is that one's by now, under the same names perhaps
                told = f"{running} runs, whose traffic this would take: conclude that one"
                raise PreconditionFailed(told, reason="EXPERIMENT_RUNNING")
        # Traffic first: an experiment that is over is looked at by nobody.
        control, *others = (one.name for one in experiment.variants)
        route, _ = await self._routes.route(model)
        wanted, stopped = concluding.given_back(route, control, others, keep)
        if wanted != route:
            await self._routes.give_back(wanted, f"{experiment.name}: {reason}")
        await self._experiments.end(experiment.name, reason)
        return stopped
