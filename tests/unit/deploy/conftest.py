"""Everything that deploy/kubernetes makes, rendered once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.deployment.kubernetes import FOLDER, local_overlay, write_variant
from tests.kit.deployment.kustomize import Resources, build

# What people run: the base with what stands behind it, and each component with it.
VARIANTS = {
    "base": (),
    "stores": ("stores",),
    "gpu": ("gpu",),
    "mutual-tls": ("mutual-tls",),
    "outside-stores": ("outside-stores",),
    "tls": ("tls",),
    "hpa": ("hpa",),
    "tls everywhere": ("stores", "mutual-tls", "tls"),
    "everything": ("gpu", "outside-stores", "mutual-tls", "tls"),
}

LOCAL = "local"


@pytest.fixture(scope="session", params=[*VARIANTS, LOCAL])
def variant_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    return local_overlay(folder) if request.param == LOCAL else write_variant(folder, VARIANTS[request.param])


@pytest.fixture(scope="session")
def rendered(variant_folder: Path) -> Resources:
    return build(variant_folder)


@pytest.fixture(scope="session")
def base() -> Resources:
    return build(FOLDER / "base")
