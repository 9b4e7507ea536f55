"""The end of an experiment: its traffic goes back to the control, and the variant that won is rolled out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

import structlog
from headrace.monitor.v1 import experiment_pb2
from headrace.router.v1 import route_pb2
from headrace_servicekit.errors import (
    DeadlineExceeded,
    FieldViolation,
    InvalidArgument,
    NotFound,
    PreconditionFailed,
    ResourceExhausted,
    ServiceError,
    Unavailable,
)

from headrace_rollout.alerts import FreezeAlerts
from headrace_rollout.decisions import experiment_routes, growth
from headrace_rollout.decisions.rollouts import Rollout
from headrace_rollout.experiments import Experiments
from headrace_rollout.peers import Routes, route_text
from headrace_rollout.route_changes import RouteChanges
from headrace_rollout.start import Starting, Wanted
from headrace_rollout.store import Request

log = structlog.get_logger()

_Analysis = experiment_pb2.AnalyseExperimentResponse
_State = experiment_pb2.Experiment
Route = route_pb2.Route
_HARM = (_Analysis.VERDICT_GUARDRAIL_HARMED, _Analysis.VERDICT_SHARES_WRONG)


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What was done. summary: what the data said. stopped: variants whose traffic the control has now."""

    summary: str
    stopped: list[str]
    rollout: Rollout | None = None


class Concluding:
    """The use cases behind ConcludeExperiment, and behind experiments that are stopped on harm."""

    def __init__(
        self,
        experiments: Experiments,
        routes: Routes,
        starting: Starting,
        alerts: FreezeAlerts,
        changes: RouteChanges,
    ) -> None:
        self._experiments, self._routes, self._starting = experiments, routes, starting
        self._alerts, self._changes = alerts, changes
        self._logged: dict[str, str] = {}

    async def run(self, name: str, weights: Mapping[str, float]) -> float:
        """Give the variants their shares, hold the route, and start the experiment or a phase of it; return the share
        of units that moved. weights: empty for those that it has. Raises what the monitor or the control plane answers.
        """
        experiment = await self._experiments.get(name)
        names = [one.name for one in experiment.variants]
        if weights and (weights.keys() != set(names) or not all(0 < each < math.inf for each in weights.values())):
            message = f"needs a number above 0 for each of {', '.join(names)}"
            raise InvalidArgument(
                f"weights {message}", reason="EXPERIMENT_INVALID", violations=[FieldViolation("weights", message)]
            )
        if experiment.state == _State.STATE_ENDED:
            raise PreconditionFailed(f"{name} has ended: create another one", reason="EXPERIMENT_ENDED")
        model = name.split("/")[1]
        running = await self._experiments.running(model)
        if running not in (None, name):
            raise PreconditionFailed(f"{running} runs: conclude that one first", reason="EXPERIMENT_RUNNING")
        wanted_weights = weights or experiment_routes.weights_of(experiment)
        route, _ = await self._routes.route(model)
        wanted = experiment_routes.shared(route, wanted_weights)
        if experiment_routes.grows(route, wanted, names[1:]):
            self._check_not_frozen(model)
        if experiment.state == _State.STATE_DRAFT:
            await self._experiments.begin(name, validate_only=True)
        else:
            await self._experiments.change_shares(name, wanted_weights, validate_only=True)
        return await self._begin(name, route, wanted, wanted_weights)

    async def _begin(self, name: str, route: Route, wanted: Route, weights: Mapping[str, float]) -> float:
        """Write the route, then begin; when that fails, `Restoring` gives it back. Return the share that moved."""
        manager, moved = experiment_routes.manager_of(name), 0.0
        change = await self._changes.begin(name, route_text(route))
        try:
            # The route first: units count from then on whose shares are those.
            if wanted != route or route.managed_by != manager:
                moved = await self._routes.write_for(manager, wanted, f"{name}: runs", release=False)
            await self._experiments.begin(name)
            await self._experiments.change_shares(name, weights)
        except BaseException:
            with suppress(Unavailable):  # the claim ends by itself
                await self._changes.undo(name, change)
            raise
        with suppress(Unavailable):  # the claim ends by itself, and nothing has to be given back
            await self._changes.end(name, change)
        return moved

    def _check_not_frozen(self, model: str) -> None:
        """Raise PreconditionFailed, reason TRAFFIC_FROZEN, while an alert keeps versions of a model from more traffic,
        and Unavailable while that is not known. That an experiment of the model runs does not keep its own back.
        """
        around = replace(self._alerts.surroundings(model), experiment="")
        why = growth.frozen_by(around)
        if why == growth.UNKNOWN:
            raise Unavailable(why, reason="ALERTS_UNKNOWN")
        if why:
            raise PreconditionFailed(
                f"variants of {model} get no more traffic: {why}; resolve it first", reason="TRAFFIC_FROZEN"
            )

    async def conclude(self, name: str, *, reason: str, keep_route: bool = False) -> Conclusion:
        """End an experiment and return its traffic to the control. Raises errors of the monitor and control plane."""
        experiment = await self._experiments.get(name)
        try:
            summary = (await self._experiments.analyse(name)).summary
        except (DeadlineExceeded, ResourceExhausted, Unavailable) as error:
            # An experiment can end without its analysis, if the log is too large or the monitor is busy.
            summary = f"not analysed: {error.public_message}"
        stopped = await self._end(experiment, reason or summary, keep_route=keep_route)
        return Conclusion(summary, stopped)

    async def promote(self, name: str, variant: str, wanted: Wanted, request: Request, *, anyway: bool) -> Conclusion:
        """End an experiment and roll the version of a variant out to the control. wanted: the rollout, without what
        the route says.

        Raises PreconditionFailed, reason EXPERIMENT_UNDECIDED, and as `conclude` and `Starting.start`.
        """
        experiment = await self._experiments.get(name)
        analysis = await self._experiments.analyse(name)
        control, *others = (one.name for one in experiment.variants)
        if variant not in others:
            message = f"'{variant}' is not one of the variants beside the control: {', '.join(others)}"
            raise PreconditionFailed(message, reason="VARIANT_GONE")
        better = analysis.verdict == _Analysis.VERDICT_BETTER and analysis.variant == variant
        if not better and not anyway:
            message = f"the data do not say that '{variant}' is better: {analysis.summary}; `anyway` promotes it"
            raise PreconditionFailed(message, reason="EXPERIMENT_UNDECIDED")
        route, _ = await self._routes.route(wanted.model)
        version = next((one.serving_version for one in route.variants if one.name == variant), "")
        if not version:
            raise PreconditionFailed(f"the route serves no variant '{variant}' any more", reason="VARIANT_GONE")
        asked = Wanted(wanted.model, version, control, wanted.policy, wanted.client, wanted.reason or analysis.summary)
        if route.managed_by not in ("", experiment_routes.manager_of(name)):
            raise PreconditionFailed(f"the route is managed by {route.managed_by}", reason="ROUTE_MANAGED")
        production = await self._starting.production(wanted.model)
        becomes, _ = experiment_routes.given_back(route, control, others, variant)
        becomes = experiment_routes.following(becomes, control, production)
        await self._starting.check(asked, request, becomes=becomes)
        stopped = await self._end(experiment, wanted.reason or analysis.summary, keep=variant, production=production)
        return Conclusion(analysis.summary, stopped, await self._starting.start(asked, request))

    async def guard(self) -> bool:
        """Stop harmful experiments among those with stop-on-harm; return False: no further round is due at once.

        A failed stop is logged once for each reason and retried in the next round.
        """
        names = await self._experiments.guarded()
        self._logged = {name: reason for name, reason in self._logged.items() if name in names}
        for name in names:
            try:
                analysis = await self._experiments.analyse(name)
                if analysis.verdict in _HARM:
                    one = await self._experiments.get(name)
                    stopped = await self._end(one, f"stopped: {analysis.summary}", harmed=True)
                    log.warning("experiment stopped", experiment=name, variants=stopped, reason=analysis.summary)
            except ServiceError as error:
                if self._logged.get(name) != error.public_message:
                    log.warning("an experiment waits", experiment=name, reason=error.public_message)
                    self._logged[name] = error.public_message
        return False

    async def _end(
        self,
        experiment: experiment_pb2.Experiment,
        reason: str,
        *,
        keep: str = "",
        keep_route: bool = False,
        harmed: bool = False,
        production: str = "",
    ) -> list[str]:
        """End an experiment and give its traffic to the control; return the variants that had some. production: the
        version whose name in the control becomes following production; empty leaves the control as it is.
        """
        model = experiment.name.split("/")[1]
        if experiment.state == _State.STATE_ENDED:
            running = await self._experiments.running(model)
            if running is not None:  # the route is that one's by now, under the same names perhaps
                message = f"{running} runs, whose traffic this would take: conclude that one"
                raise PreconditionFailed(message, reason="EXPERIMENT_RUNNING")
        # Traffic first: an experiment that has ended is not evaluated again.
        control, *others = (one.name for one in experiment.variants)
        try:
            route, _ = await self._routes.route(model)
        except NotFound:  # the model was deleted, and its route with it
            await self._experiments.end(experiment.name, reason, stopped=harmed)
            return []
        manager = experiment_routes.manager_of(experiment.name)
        wanted, stopped = (route, []) if keep_route else experiment_routes.given_back(route, control, others, keep)
        wanted = experiment_routes.following(wanted, control, production)
        if wanted != route or route.managed_by == manager:
            await self._routes.write_for(manager, wanted, f"{experiment.name}: {reason}", release=True)
        await self._experiments.end(experiment.name, reason, stopped=harmed)
        return stopped
