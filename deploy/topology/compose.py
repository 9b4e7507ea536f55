"""What docker-compose.yml and Prometheus beside it know of the topology."""

from __future__ import annotations

from headrace_stack.description import Service, Topology, own

from deploy.topology.classes import variable_of
from deploy.topology.targets import front_door_targets, health_targets


def networks_and_targets(services: Topology) -> str:
    """Return the part of docker-compose.yml that its services refer to by anchors."""
    lines = ["x-topology:", "  networks:"]
    lines += [f"    {name}: &{name}-networks {_networks(services, one)}" for name, one in services.items()]
    lines += [
        f"  targets: &front-door-targets {front_door_targets(services)}",
        f"  health: &health-targets {health_targets(services)}",
    ]
    return "\n".join(lines)


def networks_of(services: Topology, service: Service) -> list[str]:
    """Return the networks that a service is on: with other services, and with each store that it calls."""
    if service.network:
        return [service.network]
    stores = [services[call.callee].network for call in service.calls]
    return [*(["edge"] if service.published else []), "calls", *(name for name in stores if name)]


def _networks(services: Topology, service: Service) -> str:
    names = networks_of(services, service)
    if not service.hosts:
        return f"[{', '.join(names)}]"
    # Those names are on this network only: no client on `edge` bypasses the token check.
    aliases = ", ".join(dict.fromkeys(service.hosts.values()))
    options = {name: f"{{aliases: [{aliases}]}}" if name == "calls" else "{}" for name in names}
    return f"{{{', '.join(f'{name}: {of}' for name, of in options.items())}}}"


def jobs(services: Topology) -> str:
    """Return the jobs of Prometheus in Compose."""
    lines: list[str] = []
    for service in own(services):
        lines += [f"- job_name: {service.name}", _addresses(service, "metrics")]
        if "envoy-metrics" in service.ports:
            lines += [
                "# Envoy's own, of the same containers: a listener that shows these and nothing else.",
                "- job_name: envoy",
                "  metrics_path: /stats/prometheus",
                _addresses(service, "envoy-metrics"),
            ]
    return "\n".join(lines)


def _addresses(service: Service, port: str) -> str:
    host, _, number = service.address(port).partition(":")
    return f"  dns_sd_configs: [{{names: [{host}], type: A, port: {number}, refresh_interval: 10s}}]"


def away(services: Topology) -> str:
    """Return the alert expression for a missing service: no replica answers, or none is known."""
    names = [service.name for service in own(services)]
    listed = "|".join(names)
    lines = [
        "expr: >-",
        f'  (count by (job) (up{{job=~"{listed}"}})',
        f'  unless count by (job) (up{{job=~"{listed}"}} == 1))',
        *(f'  or absent(up{{job="{name}"}})' for name in names),
    ]
    return "\n".join(lines)


def down(services: Topology) -> str:
    """Return when a process is down."""
    return f'expr: up{{job=~"{"|".join(service.name for service in own(services))}"}} == 0'


def database_urls(services: Topology) -> str:
    """Return the part of .env.example with the databases' default addresses."""
    return "\n".join(
        f"#{variable_of(one, 'database_url')}=postgresql://{one.database}@{services['postgres'].address('postgres')}/{one.database}"
        for one in own(services)
        if one.database
    )


def up(services: Topology) -> str:
    """Return the series of those that are well in the test of `away`, which names the others itself."""
    well = [one.name for one in own(services) if one.name not in ("registry", "monitor", "batcher")]
    return "\n".join(f'- series: \'up{{job="{name}", instance="a"}}\'\n  values: 1x40' for name in well)


def databases(services: Topology) -> str:
    """Return the part of deploy/stores/postgres that says which databases there are."""
    return f'databases="{" ".join(_databases(services))}"'


def secrets_folders(services: Topology) -> str:
    """Return the part of deploy/tools.Dockerfile that says which databases have a password of their own."""
    return f'ARG DATABASES="{" ".join(_databases(services))}"'


def secrets_made(services: Topology) -> str:
    """Return where `init` finds the volumes of the databases' passwords."""
    return "\n".join(f"- secrets-{one}:/run/secrets/headrace/postgres-{one}" for one in _databases(services))


def secrets_volumes(services: Topology) -> str:
    """Return the volumes of the databases' passwords."""
    return "\n".join(f"secrets-{one}: {{}}" for one in _databases(services))


def _databases(services: Topology) -> list[str]:
    return [service.database for service in own(services) if service.database]
