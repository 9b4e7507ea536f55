"""Experiments in PostgreSQL. The SQL is in `queries.sql`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from headrace_servicekit.errors import AlreadyExists, NotFound, PreconditionFailed, ResourceExhausted
from headrace_servicekit.postgres.connections import Connections
from headrace_servicekit.postgres.sql import load_queries
from headrace_statistics.experiments.design import Kind, Role

from headrace_monitor.judge.experiments.decisions.definitions import Definition, Experiment, Metric, Phase, State
from headrace_monitor.judge.experiments.decisions.events import Kind as EventKind
from headrace_monitor.judge.experiments.decisions.events import happened
from headrace_monitor.judge.experiments.notices import notify

MAX_EXPERIMENTS = 1_000

SQL = load_queries("headrace_monitor.judge.experiments")


class ExperimentStore:
    """Stores experiments. Several replicas may work on one database."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def create(self, experiment: Experiment) -> Experiment:
        """Write a draft down; one that says the same is returned. Raises AlreadyExists, ResourceExhausted."""
        async with self._connections.transaction() as connection:
            await connection.execute(SQL["lock_model"], experiment.model)
            row = await connection.fetchrow(SQL["experiment"], experiment.model, experiment.id)
            if row is not None:
                there = _experiment(row)
                if there.definition == experiment.definition:
                    return there
                raise AlreadyExists(
                    f"experiment '{experiment.id}' of model '{experiment.model}' says something else: an experiment is "
                    "never changed; choose another name",
                    reason="EXPERIMENT_EXISTS",
                )
            if await connection.fetchval(SQL["count_experiments"], experiment.model) >= MAX_EXPERIMENTS:
                raise ResourceExhausted(
                    f"model '{experiment.model}' has {MAX_EXPERIMENTS} experiments, which is the limit",
                    reason="TOO_MANY_EXPERIMENTS",
                )
            await connection.execute(
                SQL["insert_experiment"],
                *(experiment.model, experiment.id, _definition_text(experiment.definition)),
                *(experiment.owner, experiment.create_time),
            )
        return experiment

    async def get(self, model: str, id_: str) -> Experiment:
        """Return one. Raises NotFound."""
        row = await self._connections.repeatable(lambda connection: connection.fetchrow(SQL["experiment"], model, id_))
        return _found(row, model, id_)

    async def of_model(self, model: str) -> list[Experiment]:
        """Return a model's, the latest first."""
        rows = await self._connections.repeatable(
            lambda connection: connection.fetch(SQL["experiments_of"], model, MAX_EXPERIMENTS)
        )
        return [_experiment(row) for row in rows]

    async def running(self) -> list[tuple[str, str, bool]]:
        """Return model and id of those that run, and whether each is to be stopped on harm."""
        rows = await self._connections.repeatable(lambda connection: connection.fetch(SQL["running_experiments"]))
        return [(row["model"], row["id"], row["guarded"]) for row in rows]

    async def change(
        self, model: str, id_: str, change: Callable[[Experiment], Experiment], *, validate_only: bool = False
    ) -> Experiment:
        """Change one by a pure function, that sees it as it is; validate_only: return what it would be.

        Raises NotFound, PreconditionFailed.
        """
        async with self._connections.transaction() as connection:
            await connection.execute(SQL["lock_model"], model)
            before = _found(await connection.fetchrow(SQL["lock_experiment"], model, id_), model, id_)
            after = change(before)
            if after == before:
                return before
            if after.state is State.RUNNING and before.state is State.DRAFT:
                running = await connection.fetchval(SQL["running_of"], model)
                if running is not None:
                    raise PreconditionFailed(
                        f"experiment '{running}' of model '{model}' runs: its units would be in both; end it first",
                        reason="EXPERIMENT_RUNNING",
                    )
            if validate_only:
                return after
            phases = json.dumps(
                [{"start_time": p.start_time.isoformat(), "weights": [*p.weights.items()]} for p in after.phases]
            )
            await connection.execute(
                SQL["update_experiment"],
                model,
                id_,
                after.state,
                phases,
                after.end_time,
                after.end_reason,
                after.stopped,
            )
            if (kind := happened(before, after)) is not None:
                await notify(connection, after, kind, after.end_reason)
        return after

    async def claim_due(self, every: timedelta) -> tuple[str, str] | None:
        """Claim the running experiment with the oldest analysis, older than `every`; None without one."""
        async with self._connections.transaction() as connection:
            row = await connection.fetchrow(SQL["claim_due"], every)
        return None if row is None else (row["model"], row["id"])

    async def report(self, experiment: Experiment, kind: EventKind, summary: str, variant: str) -> None:
        """Send an alarm to webhooks, once per kind, and none after the experiment's end."""
        async with self._connections.transaction() as connection:
            row = await connection.fetchrow(SQL["lock_experiment"], experiment.model, experiment.id)
            present = _found(row, experiment.model, experiment.id)
            if present.state is State.RUNNING and kind not in present.reported:
                await connection.execute(SQL["reported"], present.model, present.id, kind.value)
                await notify(connection, present, kind, summary, variant)


def _found(row: Mapping[str, Any] | None, model: str, id_: str) -> Experiment:
    if row is None:
        raise NotFound(f"model '{model}' has no experiment '{id_}'", reason="EXPERIMENT_NOT_FOUND")
    return _experiment(row)


def _experiment(row: Mapping[str, Any]) -> Experiment:
    return Experiment(
        row["model"],
        row["id"],
        _definition(json.loads(row["definition"])),
        row["owner"],
        row["create_time"],
        State(row["state"]),
        tuple(
            Phase(datetime.fromisoformat(each["start_time"]), dict(each["weights"]))
            for each in json.loads(row["phases"])
        ),
        row["end_time"],
        row["end_reason"],
        row["stopped"],
        frozenset(row["reported"]),
    )


def _definition_text(definition: Definition) -> str:
    # A list keeps the order of the variants, of which the first is the control.
    return json.dumps(
        {
            **asdict(definition),
            "weights": [*definition.weights.items()],
            "attribution_window": definition.attribution_window.total_seconds(),
            "covariate_window": definition.covariate_window.total_seconds(),
        }
    )


def _definition(stored: Mapping[str, Any]) -> Definition:
    metrics = tuple(
        Metric(**{**metric, "kind": Kind(metric["kind"]), "role": Role(metric["role"])}) for metric in stored["metrics"]
    )
    return Definition(
        **{
            **stored,
            "weights": dict(stored["weights"]),
            "metrics": metrics,
            "attribution_window": timedelta(seconds=stored["attribution_window"]),
            "covariate_window": timedelta(seconds=stored["covariate_window"]),
        }
    )
