"""Who uses the installation: callers of models with their share of executions, budgets, rate limits, webhooks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from shlex import quote

from headrace.router.v1 import usage_pb2
from starlette.responses import Response

from headrace_console.pages.spans import HOURS, hours_of, span_of
from headrace_console.pages.tables import listed
from headrace_console.pages.visits import READ_S, Visit, signed_in

_COLUMNS = {
    "client": lambda one: one.client,
    "model": lambda one: one.model,
    "requests": lambda one: one.requests,
    "compute": lambda one: one.compute_s,
}


@dataclass(frozen=True, slots=True)
class Caller:
    """A client of a model. client: empty for work of the installation. requests, rows: that were executed. share: of
    all seconds of executions.
    """

    client: str
    model: str
    versions: tuple[str, ...]
    requests: int
    rows: int
    compute_s: float
    share: float


@signed_in
async def usage(visit: Visit) -> Response:
    """Show who used what, and what bounds it; of one model, its callers."""
    client, model = visit.client, visit.query.get("model", "")
    start, end = span_of(visit.query, datetime.now(UTC))
    parts = await visit.parts(
        used=("control plane", client.usage.report(model=model, start=start, end=end, timeout=READ_S)),
        budgets=("control plane", client.budgets.list(timeout=READ_S)),
        limits=("control plane", client.rate_limits.list(timeout=READ_S)),
        of_models=("registry", client.models.list_webhooks(timeout=READ_S)),
        of_rollouts=("rollout service", client.rollouts.list_webhooks(timeout=READ_S)),
        of_jobs=("scorer", client.jobs.list_webhooks(timeout=READ_S)),
        of_alerts=("monitor", client.alerts.list_webhooks(timeout=READ_S)),
    )
    used = parts["used"].value
    callers = callers_of(used.usage, used.compute_s) if used is not None else []
    return visit.page(
        "usage.html",
        f"Callers of {model}" if model else "Usage",
        f"headrace usage show --model {quote(model)}" if model else "headrace usage show",
        model=model,
        table=listed(callers, _COLUMNS, visit.query, visit.request.url.path, sort="-compute"),
        hours=hours_of(visit.query),
        choices=HOURS,
        **parts,
    )


def callers_of(usage: Iterable[usage_pb2.GetUsageResponse.Usage], compute_s: float) -> list[Caller]:
    """Return usage summed over pools, versions and priorities. compute_s: of all callers."""
    found: dict[tuple[str, str], list[usage_pb2.GetUsageResponse.Usage]] = {}
    for one in usage:
        found.setdefault((one.client, one.model), []).append(one)
    return [
        Caller(
            client=client,
            model=model,
            versions=tuple(dict.fromkeys(one.version for one in rows)),
            requests=sum(one.requests for one in rows),
            rows=sum(one.rows for one in rows),
            compute_s=(used_s := sum(one.compute_s for one in rows)),
            share=used_s / compute_s if compute_s else 0.0,
        )
        for (client, model), rows in found.items()
    ]
