"""How many connections the limit of open files leaves room for."""

import resource

import pytest
from front_door.open_files import RESERVED, connections_within


@pytest.mark.parametrize(
    ("wanted", "open_files", "expected"),
    [
        pytest.param(10_000, 20_000, 10_000, id="enough for all"),
        pytest.param(10_000, 1024, 1024 - RESERVED, id="the usual soft limit"),
        pytest.param(10_000, 64, 1, id="hardly any"),
        pytest.param(10_000, resource.RLIM_INFINITY, 10_000, id="no limit"),
    ],
)
def test_connections_leave_files_for_what_else_runs_there(wanted: int, open_files: int, expected: int):
    assert connections_within(wanted, open_files) == expected
