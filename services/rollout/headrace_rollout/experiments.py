"""Experiments, as the monitor keeps and analyses them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headrace.monitor.v1 import evidence_pb2, evidence_pb2_grpc, experiment_pb2, experiment_pb2_grpc

from headrace_rollout.peers import CALL_S, answered

# Longer than the monitor's default query timeout.
ANALYSIS_S = 90.0
MAX_REASON_CHARS = 500


class Experiments:
    """The monitor's experiments. Every method raises the typed error that it answers."""

    def __init__(self, channel: Any) -> None:
        self._experiments = experiment_pb2_grpc.ExperimentServiceStub(channel)
        self._evidence = evidence_pb2_grpc.EvidenceServiceStub(channel)

    async def guarded(self) -> list[str]:
        """Return the names of those that run and are to be stopped on harm."""
        request = evidence_pb2.ListGuardedExperimentsRequest()
        return list((await answered(self._evidence.ListGuardedExperiments(request, timeout=CALL_S))).names)

    async def get(self, name: str) -> experiment_pb2.Experiment:
        """Return one."""
        request = experiment_pb2.GetExperimentRequest(name=name)
        return (await answered(self._experiments.GetExperiment(request, timeout=CALL_S))).experiment

    async def running(self, model: str) -> str | None:
        """Return the name of a model's that runs; None for none."""
        request = experiment_pb2.ListExperimentsRequest(parent=f"models/{model}")
        listed = (await answered(self._experiments.ListExperiments(request, timeout=CALL_S))).experiments
        return next((one.name for one in listed if one.state == experiment_pb2.Experiment.STATE_RUNNING), None)

    async def analyse(self, name: str) -> experiment_pb2.AnalyseExperimentResponse:
        """Return what the data say now."""
        request = experiment_pb2.AnalyseExperimentRequest(name=name)
        return await answered(self._experiments.AnalyseExperiment(request, timeout=ANALYSIS_S))

    async def begin(self, name: str, *, validate_only: bool = False) -> None:
        """Count units from now on, or only say whether that can be. Repeating it changes nothing."""
        request = experiment_pb2.StartExperimentRequest(name=name, validate_only=validate_only)
        await answered(self._experiments.StartExperiment(request, timeout=CALL_S))

    async def change_shares(self, name: str, weights: Mapping[str, float], *, validate_only: bool = False) -> None:
        """Begin a phase, or only say whether that can be; the same shares change nothing."""
        request = experiment_pb2.ChangeSharesRequest(name=name, validate_only=validate_only)
        for variant, weight in weights.items():
            request.variants.add(name=variant, weight=weight)
        await answered(self._experiments.ChangeShares(request, timeout=CALL_S))

    async def end(self, name: str, reason: str, *, stopped: bool = False) -> None:
        """End one; stopped: since it does harm. Repeating it changes nothing."""
        request = experiment_pb2.EndExperimentRequest(name=name, reason=reason[:MAX_REASON_CHARS], stopped=stopped)
        await answered(self._experiments.EndExperiment(request, timeout=CALL_S))
