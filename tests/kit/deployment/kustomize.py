"""What `kustomize build` makes of a folder, for as much of its language as deploy/kubernetes uses.

Anything else in a kustomization is refused, not passed over. What is generated keeps no hash in its name here.
Where a real kustomize is installed, tests/unit/deploy/test_kustomize.py compares its answer with this one.
"""

from __future__ import annotations

import base64
import copy
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

Resource = dict[str, Any]

# By what the elements of a list are told apart when a patch is laid over it; every other list is replaced.
_MERGED_BY = {
    "containers": "name",
    "initContainers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
}
_GENERATORS = {"configMapGenerator": "ConfigMap", "secretGenerator": "Secret"}
_KNOWN = {"apiVersion", "kind", "resources", "components", "labels", "images", "patches", "namespace", *_GENERATORS}


class Id(NamedTuple):
    """What a resource is called."""

    kind: str
    name: str


Resources = Mapping[Id, Resource]
"""All that a folder makes."""


def build(folder: Path) -> Resources:
    """Return the resources of a kustomization. Raises ValueError, OSError for what cannot be rendered here."""
    resources: dict[Id, Resource] = {}
    _accumulate(folder, resources)
    return resources


def _accumulate(folder: Path, found: dict[Id, Resource]) -> None:
    told = next(_documents((folder / "kustomization.yaml").read_text(encoding="utf-8")))
    if unknown := set(told) - _KNOWN:
        raise ValueError(f"{folder}: {sorted(unknown)} is not rendered here")
    own: dict[Id, Resource] = {}
    for path in told.get("resources", []):
        if (folder / path).is_dir():
            _accumulate(folder / path, own)
        else:
            own.update((_id(one), one) for one in _documents((folder / path).read_text(encoding="utf-8")))
    # A component, and it alone, works on what is there already.
    seen = found if told["kind"] == "Component" else own
    seen.update(own)
    for field, kind in _GENERATORS.items():
        for generator in told.get(field, []):
            _generate(folder, kind, generator, seen)
    for path in told.get("components", []):
        _accumulate(folder / path, seen)
    for patch in told.get("patches", []):
        _patch(folder, patch, seen)
    for label in told.get("labels", []):
        for one in seen.values():
            _label(one, label["pairs"])
    for image in told.get("images", []):
        for container in _containers(seen.values()):
            if container["image"].partition(":")[0] == image["name"]:
                container["image"] = f"{image.get('newName', image['name'])}:{image['newTag']}"
    if "namespace" in told:
        for one in seen.values():
            if one["kind"] != "Namespace":
                one["metadata"]["namespace"] = told["namespace"]
    if seen is not found:
        found.update(seen)


def _generate(folder: Path, kind: str, told: dict[str, Any], seen: dict[Id, Resource]) -> None:
    values: dict[str, str] = {}
    for path in told.get("envs", []):
        lines = (line.strip() for line in (folder / path).read_text(encoding="utf-8").splitlines())
        values.update(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    values.update(literal.split("=", 1) for literal in told.get("literals", []))
    for path in told.get("files", []):
        key, _, file = path.rpartition("=")
        values[key or Path(file).name] = (folder / file).read_text(encoding="utf-8")
    if kind == "Secret":
        values = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    id_ = Id(kind, told["name"])
    if told.get("behavior") == "merge":
        seen[id_]["data"].update(values)
        return
    made: Resource = {"apiVersion": "v1", "kind": kind, "metadata": {"name": told["name"]}, "data": values}
    if labels := told.get("options", {}).get("labels"):
        made["metadata"]["labels"] = dict(labels)
    if kind == "Secret":
        made["type"] = "Opaque"
    seen[id_] = made


def _patch(folder: Path, told: dict[str, Any], seen: dict[Id, Resource]) -> None:
    text = (folder / told["path"]).read_text(encoding="utf-8") if "path" in told else told["patch"]
    for patch in _documents(text):
        if patch.get("$patch") == "delete":
            del seen[_id(patch)]
            continue
        target = seen[_id(patch)]
        merged = _merged(target, patch)
        target.clear()
        target.update(merged)


def _merged(base: Any, patch: Any, field: str = "") -> Any:
    """Return the strategic merge: maps by key, null removes, the lists that `_MERGED_BY` names by their key."""
    if isinstance(base, dict) and isinstance(patch, dict):
        result = dict(base)
        for key, value in patch.items():
            if value is None:
                result.pop(key, None)
            else:
                result[key] = _merged(base[key], value, key) if key in base else copy.deepcopy(value)
        return result
    key = _MERGED_BY.get(field)
    if key is None or not isinstance(base, list):
        return copy.deepcopy(patch)
    patches = {each[key]: each for each in patch}
    kept = [_merged(each, patches.pop(each[key])) if each[key] in patches else each for each in base]
    # Real kustomize puts what is new in front.
    return [*copy.deepcopy(list(patches.values())), *kept]


def _label(resource: Resource, pairs: dict[str, str]) -> None:
    resource["metadata"].setdefault("labels", {}).update(pairs)
    spec = resource.get("spec", {})
    if "template" in spec:
        spec["template"]["metadata"].setdefault("labels", {}).update(pairs)
    for claim in spec.get("volumeClaimTemplates", []):
        claim["metadata"].setdefault("labels", {}).update(pairs)


def _containers(resources: Iterable[Resource]) -> Iterator[dict[str, Any]]:
    for resource in resources:
        pod = resource.get("spec", {}).get("template", {}).get("spec", {})
        yield from (*pod.get("containers", []), *pod.get("initContainers", []))


def _documents(text: str) -> Iterator[Resource]:
    """Return the documents of a file; libyaml reads them ten times as fast as Python."""
    return yaml.load_all(text, yaml.CSafeLoader)


def _id(resource: Resource) -> Id:
    return Id(resource["kind"], resource["metadata"]["name"])
