"""The RPCs of ExperimentService: convert, call, convert."""

from __future__ import annotations

import asyncio
from functools import partial

from headrace.monitor.v1 import experiment_pb2, experiment_pb2_grpc
from headrace_servicekit.clock import Clock
from headrace_servicekit.identity import identity

from headrace_monitor import names
from headrace_monitor.judge.experiments import answers, convert
from headrace_monitor.judge.experiments.analyst import Analyst
from headrace_monitor.judge.experiments.decisions import definitions
from headrace_monitor.judge.experiments.decisions.definitions import Experiment
from headrace_monitor.judge.experiments.store import ExperimentStore


class ExperimentServicer(experiment_pb2_grpc.ExperimentServiceServicer):
    """ExperimentService over its store and what analyses."""

    def __init__(self, store: ExperimentStore, analyst: Analyst, clock: Clock) -> None:
        self._store, self._analyst, self._clock = store, analyst, clock

    async def CreateExperiment(self, request, context):
        model = names.model_id(request.parent, "parent")
        draft = convert.draft(model, request.experiment, identity().client, self._clock.now())
        made = await self._store.create(draft)
        return experiment_pb2.CreateExperimentResponse(experiment=convert.to_experiment(made))

    async def GetExperiment(self, request, context):
        one = await self._store.get(*convert.experiment_ids(request.name, "name"))
        return experiment_pb2.GetExperimentResponse(experiment=convert.to_experiment(one))

    async def ListExperiments(self, request, context):
        listed = await self._store.of_model(names.model_id(request.parent, "parent"))
        return experiment_pb2.ListExperimentsResponse(experiments=map(convert.to_experiment, listed))

    async def StartExperiment(self, request, context):
        now = self._clock.now()
        change = partial(definitions.started, now=now)
        one = await self._change(request, change, validate_only=request.validate_only)
        return experiment_pb2.StartExperimentResponse(experiment=convert.to_experiment(one))

    async def ChangeShares(self, request, context):
        now = self._clock.now()

        def change(experiment: Experiment) -> Experiment:
            return definitions.reweighted(experiment, convert.new_weights(request, experiment), now)

        one = await self._change(request, change, validate_only=request.validate_only)
        return experiment_pb2.ChangeSharesResponse(experiment=convert.to_experiment(one))

    async def EndExperiment(self, request, context):
        now = self._clock.now()

        def change(experiment: Experiment) -> Experiment:
            return definitions.ended(experiment, request.reason, now, stopped=request.stopped)

        one = await self._change(request, change)
        return experiment_pb2.EndExperimentResponse(experiment=convert.to_experiment(one))

    async def AnalyseExperiment(self, request, context):
        ids, slice_by = convert.experiment_ids(request.name, "name"), convert.attribute(request.slice_by, "slice_by")
        verdict = await self._analyst.analyse(*ids, slice_by)
        return answers.to_analysis(verdict)

    async def GetExperimentHistory(self, request, context):
        verdicts = await self._analyst.history(*convert.experiment_ids(request.name, "name"))
        return answers.to_history(verdicts)

    async def ExportExperimentUnits(self, request, context):
        ids, parts = convert.experiment_ids(request.name, "name"), convert.parts(request)
        send = experiment_pb2.ExportExperimentUnitsResponse
        await self._analyst.units(*ids, *parts, lambda piece: context.write(send(arrow=piece)))

    async def PlanExperiment(self, request, context):
        names.model_id(request.parent, "parent")
        # Takes up to a second of CPU: in a thread, so that the event loop serves other calls.
        return await asyncio.to_thread(answers.plan, request)

    async def _change(self, request, change, *, validate_only=False):
        ids = convert.experiment_ids(request.name, "name")
        return await self._store.change(*ids, change, validate_only=validate_only)
