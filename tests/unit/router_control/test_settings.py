"""What the control plane can be told, and where it is written down."""

from pathlib import Path

import pytest
from headrace_router.control.settings import ControlSettings, parse_targets
from headrace_servicekit.testing import assert_readme_has_settings

README = Path(__file__).resolve().parents[3] / "services" / "router" / "control-plane.md"


def test_the_readme_has_the_settings():
    assert_readme_has_settings(README, ControlSettings)


def test_health_targets_name_a_service_and_where_it_is():
    assert parse_targets(" a.B=h:1 ; c.D=dns:///x:2;") == {"a.B": "h:1", "c.D": "dns:///x:2"}
    assert parse_targets("") == {}
    for wrong in ("a.B", "=h:1", "a.B="):
        with pytest.raises(ValueError, match="is not package"):
            parse_targets(wrong)
