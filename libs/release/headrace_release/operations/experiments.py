"""Experiments: which variant is better for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

from headrace.monitor.v1 import experiment_pb2
from headrace_client.calls import Operation, Session, invoke
from headrace_client.operations.console_pages import console_page

DEFAULT_TIMEOUT_S = 30.0
# Longer than a monitor lets a query run by default.
ANALYSIS_TIMEOUT_S = 90.0


def create_experiment(
    session: Session, experiment: experiment_pb2.Experiment, *, timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[experiment_pb2.Experiment]:
    """Write an experiment down; one that says the same is returned.

    Raises InvalidArgument naming the field, AlreadyExists for another one of the name.
    """
    parent = experiment.name.partition("/experiments/")[0]
    request = experiment_pb2.CreateExperimentRequest(parent=parent, experiment=experiment)
    return (yield from invoke(session, experiment_pb2.CreateExperimentResponse, request, timeout_s=timeout)).experiment


def get_experiment(
    session: Session, model: str, experiment: str, *, timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[experiment_pb2.Experiment]:
    """Return one. Raises NotFound."""
    request = experiment_pb2.GetExperimentRequest(name=_named(model, experiment))
    return (yield from invoke(session, experiment_pb2.GetExperimentResponse, request, timeout_s=timeout)).experiment


def list_experiments(
    session: Session, model: str, *, timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[list[experiment_pb2.Experiment]]:
    """Return a model's, the latest first."""
    request = experiment_pb2.ListExperimentsRequest(parent=f"models/{model}")
    return list(
        (yield from invoke(session, experiment_pb2.ListExperimentsResponse, request, timeout_s=timeout)).experiments
    )


def start_experiment(
    session: Session, model: str, experiment: str, *, timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[experiment_pb2.Experiment]:
    """Count units from now on. Raises PreconditionFailed while another one of the model runs, and for an ended one."""
    request = experiment_pb2.StartExperimentRequest(name=_named(model, experiment))
    return (yield from invoke(session, experiment_pb2.StartExperimentResponse, request, timeout_s=timeout)).experiment


def change_shares(
    session: Session, model: str, experiment: str, weights: Mapping[str, float], *, timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[experiment_pb2.Experiment]:
    """Say that the route has other weights from now on."""
    variants = [experiment_pb2.Experiment.Variant(name=name, weight=weight) for name, weight in weights.items()]
    request = experiment_pb2.ChangeSharesRequest(name=_named(model, experiment), variants=variants)
    return (yield from invoke(session, experiment_pb2.ChangeSharesResponse, request, timeout_s=timeout)).experiment


def end_experiment(
    session: Session, model: str, experiment: str, *, reason: str = "", timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[experiment_pb2.Experiment]:
    """Assign no more units."""
    request = experiment_pb2.EndExperimentRequest(name=_named(model, experiment), reason=reason)
    return (yield from invoke(session, experiment_pb2.EndExperimentResponse, request, timeout_s=timeout)).experiment


def analyse_experiment(
    session: Session, model: str, experiment: str, *, slice_by: str = "", timeout: float = ANALYSIS_TIMEOUT_S
) -> Operation[experiment_pb2.AnalyseExperimentResponse]:
    """Return what the data say now; it may be asked as often as one likes. slice_by: attribute, of whose values
    something is said besides.
    """
    request = experiment_pb2.AnalyseExperimentRequest(name=_named(model, experiment), slice_by=slice_by)
    return (yield from invoke(session, experiment_pb2.AnalyseExperimentResponse, request, timeout_s=timeout))


def get_experiment_history(
    session: Session, model: str, experiment: str, *, timeout: float = ANALYSIS_TIMEOUT_S
) -> Operation[experiment_pb2.GetExperimentHistoryResponse]:
    """Return what the units say that came by each of up to 30 times; the last one says what they say now."""
    request = experiment_pb2.GetExperimentHistoryRequest(name=_named(model, experiment))
    return (yield from invoke(session, experiment_pb2.GetExperimentHistoryResponse, request, timeout_s=timeout))


def render_experiment_report(
    session: Session, model: str, experiment: str, *, timeout: float = ANALYSIS_TIMEOUT_S
) -> Operation[str]:
    """Return the console's page about an experiment, which needs nothing else."""
    return (yield from console_page(session, "models", model, "experiments", experiment, timeout=timeout))


def export_experiment_units(
    session: Session,
    model: str,
    experiment: str,
    file: BinaryIO,
    *,
    parts: int = 1,
    part: int = 0,
    timeout: float = ANALYSIS_TIMEOUT_S,
) -> Operation[None]:
    """Write one row for each unit, as an Arrow IPC stream, to a file that can be truncated.

    parts, part: only part number `part` of `parts` equal parts of the units.
    """
    request = experiment_pb2.ExportExperimentUnitsRequest(name=_named(model, experiment), parts=parts, part=part)
    begin = file.tell()

    def listen() -> Callable[[Any], None]:
        file.seek(begin)
        file.truncate()
        return lambda piece: _written(file, piece.arrow)

    yield from invoke(session, experiment_pb2.ExportExperimentUnitsResponse, request, timeout_s=timeout, listen=listen)


def plan_experiment(
    session: Session, request: experiment_pb2.PlanExperimentRequest, *, timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[experiment_pb2.PlanExperimentResponse]:
    """Return how many units an experiment needs, with one look and with any."""
    return (yield from invoke(session, experiment_pb2.PlanExperimentResponse, request, timeout_s=timeout))


def _named(model: str, experiment: str) -> str:
    return f"models/{model}/experiments/{experiment}"


def _written(file: BinaryIO, content: bytes) -> None:
    file.write(content)
