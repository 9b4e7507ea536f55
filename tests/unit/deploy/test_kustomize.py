"""The renderer of the tests says what a real kustomize says."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from headrace_stack import debian_programs

from tests.kit.deployment.kubernetes import write_variant
from tests.kit.deployment.kustomize import Id, Resource, Resources, build
from tests.kit.deployment.topology import CHECKOUT

KUSTOMIZE = debian_programs.find(CHECKOUT, "kustomize")
_HASH = re.compile(r"-[bcdfghkmt2456789]{10}$")


needs_kustomize = pytest.mark.skipif(
    KUSTOMIZE is None, reason="NOT CHECKED: no kustomize of Debian here, see `make test`"
)


@needs_kustomize
def test_it_is_what_kustomize_builds(variant_folder: Path, rendered: Resources):
    compare(variant_folder, rendered)


@needs_kustomize
def test_it_takes_parts_away_as_kustomize_does(tmp_path: Path):
    folder = write_variant(tmp_path, ("stores", "mutual-tls", "core"))
    compare(folder, build(folder))


def compare(variant_folder: Path, rendered: Resources):
    """Hold what was rendered here to what a real kustomize makes of the folder."""
    assert KUSTOMIZE is not None
    built = subprocess.run([KUSTOMIZE, "build", str(variant_folder)], capture_output=True, text=True, check=True)
    generated = {id_.name for id_ in rendered if id_.kind in ("ConfigMap", "Secret")}
    theirs = {}
    for resource in yaml.load_all(built.stdout, yaml.CSafeLoader):
        without = _without_hashes(resource, generated)
        theirs[Id(without["kind"], without["metadata"]["name"])] = without
    assert set(theirs) == set(rendered)
    for id_, resource in rendered.items():
        if id_.kind == "Secret":  # long values are broken into lines there
            theirs[id_]["data"] = {key: value.replace("\n", "") for key, value in theirs[id_]["data"].items()}
        assert _sorted(theirs[id_]) == _sorted(resource), id_


def test_no_name_in_the_source_has_a_hash(base: Resources):
    # kustomize finds the names that workloads refer to, and completes them with one of what they hold.
    assert not [id_.name for id_ in base if _HASH.search(id_.name)]


def _without_hashes(value: Resource, generated: set[str]) -> Resource:
    def plain(text: str) -> str:
        return _HASH.sub("", text) if _HASH.sub("", text) in generated else text

    def walk(node: object) -> object:
        if isinstance(node, dict):
            return {key: walk(each) for key, each in node.items()}
        if isinstance(node, list):
            return [walk(each) for each in node]
        return plain(node) if isinstance(node, str) else node

    walked = walk(value)
    assert isinstance(walked, dict)
    return walked


def _sorted(resource: Resource) -> str:
    """As text, with lists in one order: where a patch puts what is new means nothing."""

    def walk(node: object) -> object:
        if isinstance(node, dict):
            return {key: walk(each) for key, each in node.items()}
        if isinstance(node, list):
            return sorted((walk(each) for each in node), key=lambda each: json.dumps(each, sort_keys=True))
        return node

    return json.dumps(walk(resource), sort_keys=True)
