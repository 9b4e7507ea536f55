"""Generated input of kustomize: policies, lists, patches of every workload."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from headrace_stack.description import Service, Topology, callers, connections, own

from deploy.topology.classes import tls_variables, variable_of

WRITTEN = "# Written by `make topology` from deploy/topology.toml.\n"
_LABEL = "app.kubernetes.io/name"
_TLS = "/run/secrets/headrace/tls"
# Default port and addresses of components/outside-stores, for operators to replace.
_OUTSIDE = {"postgres": (5432, "10.0.0.0/8"), "valkey": (6379, "10.0.0.0/8"), "s3": (443, "0.0.0.0/0")}


def base(services: Topology) -> str:
    """Return base/kustomization.yaml."""
    lines = [
        WRITTEN.rstrip(),
        "# The services. What holds data is elsewhere: managed (components/outside-stores) or beside them"
        " (components/stores).",
        "apiVersion: kustomize.config.k8s.io/v1beta1",
        "kind: Kustomization",
        "resources:",
        *(f"  - {service.name}.yaml" for service in own(services)),
        "  - network-policies.yaml",
        "# The hash of its content is in the name of each: a changed setting is a rolling restart of that service.",
        "configMapGenerator:",
    ]
    for service in own(services):
        lines += [
            f"  - name: {service.name}",
            f"    envs: [config/{service.name}.env]",
            f"    options: {{labels: {{{_LABEL}: {service.name}}}}}",
        ]
    lines += ["labels:", "  - pairs: {app.kubernetes.io/part-of: headrace}", "    includeTemplates: true", "images:"]
    lines += [f"  - {{name: headrace/{service.name}, newTag: 0.1.0}}" for service in own(services)]
    return _text(lines)


def policies(services: Topology) -> str:
    """Return base/network-policies.yaml."""
    return _NOTHING_ELSE + "".join(f"---\n{_policy(services, service)}" for service in own(services))


def store_policies(services: Topology) -> str:
    """Return components/stores/network-policies.yaml."""
    return WRITTEN + "---\n".join(_policy(services, service) for service in services.values() if service.store)


def outside_policies(services: Topology) -> str:
    """Return components/outside-stores/network-policies.yaml."""
    head = (
        f"{WRITTEN}# Databases and Valkey are reached at addresses of their own network, S3 at HTTPS. Put in yours.\n"
    )
    patches = [
        _text(
            ["apiVersion: networking.k8s.io/v1", "kind: NetworkPolicy", "metadata:", f"  name: {service.name}", "spec:"]
        )
        + _text(_egress(services, service, outside=True))
        for service in own(services)
        if any(services[call.callee].store for call in service.calls)
    ]
    return head + "---\n".join(patches)


def outside_settings(services: Topology) -> str:
    """Return what of components/outside-stores/kustomization.yaml tells services where the stores are."""
    lines = ["configMapGenerator:"]
    for service in own(services):
        if literals := [*_outside(services, service)]:
            lines += [f"  - name: {service.name}", "    behavior: merge", "    literals:"]
            lines += [f"      - {name}={value}" for name, value in literals]
    return _text(lines)


def _outside(services: Topology, service: Service) -> Iterator[tuple[str, str]]:
    called = {call.callee for call in service.calls if services[call.callee].store}
    if "postgres" in called:
        url = f"postgresql://{service.database}@postgres.internal.example:5432/{service.database}?sslmode=require"
        yield f"{variable_of(service, 'database_url')}", url
    if "s3" in called:
        yield f"{variable_of(service, 's3_endpoint')}", "https://s3.eu-central-1.amazonaws.com"
        yield from ((f"{service.prefix}{name}", f"{bucket}-example") for name, bucket in service.buckets.items())
        yield f"{variable_of(service, 's3_region')}", "eu-central-1"
    if "valkey" in called:
        yield f"{variable_of(service, 'valkey_url')}", "rediss://valkey.internal.example:6379/0"


def mutual_tls_settings(services: Topology) -> str:
    """Return components/mutual-tls/kustomization.yaml."""
    lines = [_MUTUAL_TLS.rstrip()]
    for service in own(services):
        lines += [f"  - name: {service.name}", "    behavior: merge", "    literals:"]
        lines += [f"      - {name}={_TLS}/{file}" for name, file in tls_variables(service).items()]
    return _text([*lines, "patches:", "  - path: workloads.yaml"])


def mutual_tls_workloads(services: Topology) -> str:
    """Return components/mutual-tls/workloads.yaml."""
    head = (
        f"{WRITTEN}# The kubelet has no certificate of ours to ask gRPC with: it asks for the same state over HTTP.\n"
    )
    return head + "---\n".join(
        _patch(
            service,
            [
                *(
                    ["readinessProbe:", "  grpc: null", "  httpGet: {path: /readyz, port: metrics}"]
                    if "grpc" in service.ports
                    else []
                ),
                "volumeMounts:",
                f"  - {{name: tls, mountPath: {_TLS}, readOnly: true}}",
            ],
            ["volumes:", "  - name: tls", f"    secret: {{secretName: {service.name}-tls, defaultMode: 0440}}"],
        )
        for service in own(services)
    )


def one_of_each(services: Topology) -> str:
    """Return overlays/local/one-of-each.yaml."""
    head = (
        f"{WRITTEN}# Small enough for a laptop; a rollout still starts the next one before it ends the last, but for"
        " the front door.\n"
    )
    return head + "---\n".join(
        _patch(
            service,
            ["resources:", f"  requests: {{{', '.join(f'{name}: {of}' for name, of in service.requests.items())}}}"],
            replicas=1,
        )
        for service in own(services)
    )


def database_secrets(services: Topology) -> str:
    """Return the part of overlays/local that gives each service the password of its database."""
    lines: list[str] = []
    for service in own(services):
        if service.database:
            lines += [f"- name: postgres-{service.database}", f"  files: [secrets/postgres-{service.database}/pgpass]"]
    return _text(lines)


def role_secrets(services: Topology) -> str:
    """Return the part of overlays/local that gives PostgreSQL the passwords of its roles."""
    return _text(f"- secrets/postgres/{one.database}.pgpass" for one in own(services) if one.database)


def _patch(service: Service, container: list[str], pod: Iterable[str] = (), *, replicas: int | None = None) -> str:
    # A front door keeps its name and its last good tables.
    kind = "StatefulSet" if service.published else "Deployment"
    return _text(
        [
            "apiVersion: apps/v1",
            f"kind: {kind}",
            "metadata:",
            f"  name: {service.name}",
            "spec:",
            *([f"  replicas: {replicas}"] if replicas else []),
            "  template:",
            "    spec:",
            "      containers:",
            f"        - name: {service.name}",
            *(f"          {line}" for line in container),
            *(f"      {line}" for line in pod),
        ]
    )


def _policy(services: Topology, service: Service) -> str:
    return _text(
        [
            "apiVersion: networking.k8s.io/v1",
            "kind: NetworkPolicy",
            "metadata:",
            f"  name: {service.name}",
            f"  labels: {{{_LABEL}: {service.name}}}",
            "spec:",
            "  podSelector:",
            f"    matchLabels: {{{_LABEL}: {service.name}}}",
            "  policyTypes: [Ingress, Egress]",
            *_ingress(services, service),
            *_egress(services, service),
        ]
    )


def _ingress(services: Topology, service: Service) -> list[str]:
    lines: list[str] = []
    if service.published:
        lines.append("    # From anywhere: this is the one port that callers know.")
        lines += ["    - ports:", *(_port(service.ports[port]) for port in service.published)]
    for port, number in service.ports.items():
        if allowed := callers(services, service.name, port):
            lines += ["    - from:", *(line for name in allowed for line in _pods(name)), "      ports:", _port(number)]
    if read := [number for port, number in service.ports.items() if port.endswith("metrics")]:
        lines += [
            "    - from:",
            "        - namespaceSelector:",
            "            matchLabels: {kubernetes.io/metadata.name: monitoring}",
            "      ports:",
            *map(_port, read),
        ]
    return ["  ingress:", *lines] if lines else []


def _egress(services: Topology, service: Service, *, outside: bool = False) -> list[str]:
    lines: list[str] = []
    for call in connections(services, service):
        number, peer = services[call.callee].ports[call.port], _pods(call.callee)
        if outside and services[call.callee].store:
            number, addresses = _OUTSIDE[call.callee]
            peer = [f"        - ipBlock: {{cidr: {addresses}}}"]
        lines += ["    - to:", *peer, "      ports:", _port(number)]
    return ["  egress:", *lines] if lines else []


def _pods(name: str) -> list[str]:
    return ["        - podSelector:", f"            matchLabels: {{{_LABEL}: {name}}}"]


def _port(number: int) -> str:
    return f"        - {{protocol: TCP, port: {number}}}"


def _text(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


_NOTHING_ELSE = f"""{WRITTEN}# No pod connects to another unless a policy here allows it on both sides.
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: nothing-else
spec:
  podSelector:
    matchLabels: {{app.kubernetes.io/part-of: headrace}}
  policyTypes: [Ingress, Egress]
  egress:
    # Names of services.
    - to:
        - namespaceSelector:
            matchLabels: {{kubernetes.io/metadata.name: kube-system}}
          podSelector:
            matchLabels: {{k8s-app: kube-dns}}
      ports:
        - {{protocol: UDP, port: 53}}
        - {{protocol: TCP, port: 53}}
"""

_MUTUAL_TLS = f"""{WRITTEN}# Services speak TLS to each other and show each other certificates of one authority. Each
# needs a Secret `{{service}}-tls` with tls.crt, tls.key and ca.crt, as cert-manager makes it; docs/operations.md says
# for which names.
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
configMapGenerator:
"""
