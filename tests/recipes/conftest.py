"""Environments with the frameworks, kept between runs until something else is to be installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from headrace_stack.settings import checkout_of_this_file

from tests.kit.clients import recipes
from tests.kit.clients.recipes import Page

ENVIRONMENTS = checkout_of_this_file() / ".headrace" / "recipes"


@pytest.fixture(params=[pytest.param(page, id=page.name) for page in recipes.PAGES])
def page(request: pytest.FixtureRequest) -> Page:
    """Each page in turn."""
    return request.param


@pytest.fixture
def environment(page: Page) -> Path:
    """The environment of the page: what its first line installs."""
    return made(page.name, page.packages)


def made(name: str, packages: Sequence[str]) -> Path:
    """Return an environment with these packages, a folder with a Python of its own."""
    folder = ENVIRONMENTS / name
    stamp = folder / "installed"
    if not stamp.exists() or stamp.read_text() != " ".join(packages):
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([folder / "bin" / "pip", "install", "--quiet", *packages], check=True)
        stamp.write_text(" ".join(packages))
    return folder
