"""The README's table is what the settings are."""

from pathlib import Path

import headrace_registry
from headrace_registry.settings import RegistrySettings
from headrace_servicekit.testing import assert_readme_has_settings


def test_the_readme_has_the_settings():
    assert_readme_has_settings(Path(headrace_registry.__file__).parent.parent / "README.md", RegistrySettings)
