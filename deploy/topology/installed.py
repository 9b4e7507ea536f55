"""Overlays of Compose and Kubernetes for installations of some parts: they change the files of the whole."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path

from headrace_stack.components.plain import target_variable
from headrace_stack.description import CORE, Topology, own
from headrace_stack.parts import installed

from deploy.topology.classes import variable_of
from deploy.topology.kubernetes import WRITTEN
from deploy.topology.targets import CONTROL, FRONT_DOOR, health_targets

_BASE = Path(__file__).resolve().parents[1] / "kubernetes" / "base"


def compose(services: Topology, kept: Collection[str] = (CORE,)) -> str:
    """Return docker-compose.core.yml: other parts are profiles, and their addresses are left out."""
    lines = [WRITTEN.rstrip(), *_HEAD.splitlines(), "services:"]
    for name, values in _values(services, kept).items():
        lines += [f"  {name}:", "    environment:", *(f'      {key}: "{value}"' for key, value in values.items())]
    for service in own(services):
        if service.part not in kept:
            names = (service.name, *([f"init-{service.database}"] if service.database else []))
            lines += [f"  {name}: {{profiles: [{service.part}]}}" for name in names]
    return "".join(f"{line}\n" for line in lines)


def kubernetes(services: Topology, kept: Collection[str] = (CORE,)) -> str:
    """Return components/core/kustomization.yaml, which removes every other part."""
    lines = [WRITTEN.rstrip(), *_COMPONENT.splitlines(), "configMapGenerator:"]
    for name, values in _values(services, kept).items():
        lines += [f"  - name: {name}", "    behavior: merge", "    literals:"]
        lines += [f"      - {key}={value}" for key, value in values.items()]
    # A patch each: kustomize 5 panics where one deletes several.
    lines.append("patches:")
    for kind, version, name in _gone(services, kept):
        resource = f"{{$patch: delete, apiVersion: {version}, kind: {kind}, metadata: {{name: {name}}}}}"
        lines.append(f"  - patch: '{resource}'")
    return "".join(f"{line}\n" for line in lines)


def _values(services: Topology, kept: Collection[str]) -> dict[str, dict[str, str]]:
    """Return the variables of each service that differ from those of the whole."""
    there = installed(services, kept)
    values: dict[str, dict[str, str]] = {}
    for name in (one.name for one in own(there)):
        absent = [call for call in services[name].calls if call.callee not in there]
        variables = [variable_of(services[name], target_variable(call).lower()) for call in absent]
        values[name] = {variable: "" for variable in variables if variable}
    values[FRONT_DOOR] |= {f"{variable_of(services[FRONT_DOOR], 'parts')}": ",".join(kept)}
    values[CONTROL] |= {f"{variable_of(services[CONTROL], 'health_targets')}": health_targets(there)}
    return {name: changed for name, changed in values.items() if changed}


def _gone(services: Topology, kept: Collection[str]) -> Iterator[tuple[str, str, str]]:
    """Yield kind, version and name of every resource of services that are not kept."""
    for service in own(services):
        if service.part not in kept:
            text = (_BASE / f"{service.name}.yaml").read_text(encoding="utf-8")
            found = re.findall(r"^apiVersion: (\S+)\nkind: (\S+)\nmetadata:\n  name: (\S+)", text, re.MULTILINE)
            yield from ((kind, version, name) for version, kind, name in found)
            yield "NetworkPolicy", "networking.k8s.io/v1", service.name


_HEAD = """\
# The core alone: docker compose -f docker-compose.yml -f docker-compose.core.yml up --build --wait
# Every other part is a profile here. For more than the core, `python -m deploy.topology compose core,observe` prints
# what to put in the place of this file."""

_COMPONENT = """\
# The core alone: put this component behind all others. `python -m deploy.topology kubernetes core,observe` prints one
# that leaves more.
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component"""
