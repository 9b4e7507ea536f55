"""What documents show of the topology: pictures and tables."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from headrace_stack import description, parts
from headrace_stack.description import CORE, Outage, Scaled, Service, Topology, in_order, own

from deploy.topology.classes import variable_of
from deploy.topology.compose import networks_of

_ROOT = Path(__file__).resolve().parents[2]
_SCALED = {Scaled.PROCESS: "a process", Scaled.PAIR: "a process with its Triton", Scaled.SINGLE: "–"}


def connections(services: Topology) -> str:
    """Return the diagram of connections."""
    lines = ["```mermaid", "flowchart LR"]
    for service in services.values():
        for call in description.connections(services, service):
            callee = f'{call.callee}[("{call.callee}")]' if services[call.callee].store else call.callee
            lines.append(f"    {service.name} -- {services[call.callee].ports[call.port]} --> {callee}")
    return "\n".join([*lines, "```"])


def parts_table(services: Topology) -> str:
    """Return the table of parts: what each is for, its services, and whose services these call."""
    lines = ["| part | what it is for | services | calls services of |", "| --- | --- | --- | --- |"]
    for part in parts.of(_ROOT).values():
        members = [service for service in own(services) if service.part == part.name]
        called = dict.fromkeys(services[call.callee].part for one in members for call in one.calls)
        names, others = ", ".join(one.name for one in members), ", ".join(name for name in called if name != part.name)
        # The core reports to others where they are there, and does not need them.
        needs = f"{others}, where they are installed" if part.name == CORE and others else others
        lines.append(f"| {part.name} | {part.purpose} | {names or '–'} | {needs or '–'} |")
    return "\n".join(lines)


def services_table(services: Topology) -> str:
    """Return the table of ports, data and replicas."""
    lines = [
        "| service | calls | metrics, `/livez`, `/readyz` | other ports | database | bucket | one more of it is |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for service in own(services):
        first = next(iter(service.ports))
        others = ", ".join(f"{name} {of}" for name, of in service.ports.items() if name not in (first, "metrics"))
        bucket = next(iter(service.buckets.values()), "–")
        lines.append(
            f"| {service.name} | {service.ports[first]} | {service.ports['metrics']} | {others or '–'} "
            f"| {_code(service.database)} | {_code(bucket)} | {_SCALED[service.scaled]} |"
        )
    return "\n".join(lines)


def outages(services: Topology) -> str:
    """Return the picture of what predictions need."""
    return "\n".join(
        [
            "```mermaid",
            "flowchart LR",
            '    subgraph go["predictions continue without these"]',
            *_row(service for service in services.values() if service.outage is Outage.GO_ON),
            "    end",
            '    subgraph need["without all of one of these, they do not"]',
            *_row(service for service in services.values() if service.outage is Outage.STOP),
            "    end",
            "```",
        ]
    )


def _row(group: Iterable[Service]) -> list[str]:
    return ["        " + " ~~~ ".join(f'{one.name}[("{one.name}")]' if one.store else one.name for one in group)]


def networks(services: Topology) -> str:
    """Return who is on which network in Compose."""
    beside = {"edge": "people's containers", "calls": "Prometheus of its profile"}
    out = {"edge": "yes: the published port", "calls": "no"}
    names = dict.fromkeys(name for one in own(services) for name in networks_of(services, one))
    lines = ["| network | who is on it | leads out |", "| --- | --- | --- |"]
    for name in names:
        on = [one.name for one in services.values() if name in networks_of(services, one)]
        on += [beside[name]] if name in beside else []
        lines.append(f"| `{name}` | {', '.join(on)} | {out.get(name, 'yes, for a managed store')} |")
    return "\n".join(lines)


def upgrade(services: Topology) -> str:
    """Return the diagram of an upgrade: each service comes before its callers."""
    return "\n".join(
        ["```mermaid", "flowchart LR", f"    {' --> '.join(('backup', *in_order(services), 'clients'))}", "```"]
    )


def secrets_table(services: Topology) -> str:
    """Return what an installation in Kubernetes has to bring."""
    with_database = [service for service in own(services) if service.database]
    denying = [one.name for one in own(services) if variable_of(one, "deny_file")]
    names = ", ".join(f"`postgres-{service.database}`" for service in with_database)
    certificates = ", ".join(f"`{service.name}-tls`" for service in own(services))
    rows = [
        ("kind", "name", "holds", "for"),
        ("---", "---", "---", "---"),
        (
            "ConfigMap",
            "`identity`",
            "`jwks.json`, `deny.json`",
            f"the first front-door, the second {', '.join(denying)}; without a hash in its name: it is followed while"
            " they run",
        ),
        ("Secret", names, "`pgpass`", "; ".join(service.name for service in with_database)),
        ("Secret", "`s3`", "`credentials` (AWS shared credentials, profile `default`)", _callers(services, "s3")),
        ("Secret", "`valkey`", "`password`, empty for none", _callers(services, "valkey")),
        ("Secret", "`front-door`", "`tls.crt`, `tls.key`", "`components/tls`"),
        (
            "Secret",
            certificates,
            "`tls.crt`, `tls.key`, `ca.crt`",
            "`components/mutual-tls`; names in the certificates: the service's own, and for the front door"
            " `front-door-data` and 127.0.0.1 besides",
        ),
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _callers(services: Topology, store: str) -> str:
    return ", ".join(one.name for one in own(services) if any(call.callee == store for call in one.calls))


def stores(services: Topology) -> str:
    """Return the table of the variables that set where each service's data are."""
    lines = ["| service | PostgreSQL | S3 | Valkey |", "| --- | --- | --- | --- |"]
    for service in own(services):
        url, endpoint, cache = (variable_of(service, name) for name in ("database_url", "s3_endpoint", "valkey_url"))
        if url or endpoint or cache:
            database = f"database `{service.database}`: `{url}`" if url else "–"
            buckets = ", ".join(f"`{bucket}`: `{service.prefix}{name}`" for name, bucket in service.buckets.items())
            lines.append(
                f"| {service.name} | {database} | {f'buckets {buckets}, at `{endpoint}`' if endpoint else '–'} "
                f"| {_code(cache)} |"
            )
    return "\n".join(lines)


def _code(name: str | None) -> str:
    return f"`{name}`" if name and name != "–" else "–"
