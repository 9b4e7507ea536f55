"""How the control plane reads the services whose health it reports."""

import pytest
from headrace_router.control.settings import parse_targets


def test_health_targets_name_a_service_and_where_it_is():
    assert parse_targets(" a.B=h:1 ; c.D=dns:///x:2;") == {"a.B": "h:1", "c.D": "dns:///x:2"}
    assert parse_targets("") == {}
    for wrong in ("a.B", "=h:1", "a.B="):
        with pytest.raises(ValueError, match="is not package"):
            parse_targets(wrong)
