"""After a start of an experiment that failed: its route is what it was, or what the experiment counts with.

What was before is one row, written before the route: whichever replica claims it asks until both services answer.
"""

from __future__ import annotations

from headrace.monitor.v1 import experiment_pb2
from headrace.router.v1 import route_pb2
from headrace_servicekit.errors import NotFound

from headrace_rollout.decisions import experiment_routes
from headrace_rollout.experiments import Experiments
from headrace_rollout.peers import Routes, route_of
from headrace_rollout.route_changes import RouteChanges

EVERY_S = 1.0


class Restoring:
    """Gives routes back that were written for experiments which do not run."""

    def __init__(self, changes: RouteChanges, experiments: Experiments, routes: Routes) -> None:
        self._changes, self._experiments, self._routes = changes, experiments, routes

    async def run(self) -> None:
        """Restore what is due. Raises the first failure; what failed is due again after a pause."""
        await self._changes.work_off(self._restore)

    async def _restore(self, name: str, before: str) -> None:
        try:
            experiment = await self._experiments.get(name)
            route, _ = await self._routes.route(name.split("/")[1])
        except NotFound:  # the model was deleted, and its route with it
            return
        manager = experiment_routes.manager_of(name)
        if route.managed_by != manager:  # it was given back, or taken by force
            return
        if experiment.state == experiment_pb2.Experiment.STATE_RUNNING:
            wanted = experiment_routes.shared(route, experiment_routes.weights_of(experiment))
            if wanted != route:
                await self._routes.write_for(manager, wanted, f"{name}: the shares that it counts with", release=False)
            return
        await self._routes.write_for(manager, _as_before(before, route), f"{name}: did not start", release=True)


def _as_before(before: str, route: route_pb2.Route) -> route_pb2.Route:
    """Return the route before, to be written in the place of the present one."""
    wanted = route_of(before)
    wanted.etag = route.etag
    return wanted
