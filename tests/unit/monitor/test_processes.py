"""How many processes of data planes are remembered."""

import pytest
from headrace_monitor.record.processes import ProcessCounts, admit, admit_series
from headrace_servicekit.errors import ResourceExhausted


@pytest.mark.parametrize(
    "known",
    [
        pytest.param(ProcessCounts(0, 0), id="the first"),
        pytest.param(ProcessCounts(9, 99), id="the last of a data plane, and in all"),
    ],
)
def test_a_process_is_taken_while_there_is_room(known):
    admit(known, "front-door-0", 100)


@pytest.mark.parametrize(
    ("known", "most", "told"),
    [
        pytest.param(
            ProcessCounts(10, 10), 100, "'front-door-0' has had 10 processes", id="a data plane has a tenth at most"
        ),
        pytest.param(ProcessCounts(0, 100), 100, "100 processes of data planes", id="all have no more than that"),
        pytest.param(ProcessCounts(1, 1), 5, "'front-door-0' has had 1 processes", id="of few, a data plane has one"),
    ],
)
def test_a_process_too_many_is_told_when_to_come_back(known, most, told):
    with pytest.raises(ResourceExhausted, match=told) as refused:
        admit(known, "front-door-0", most)
    error = refused.value
    assert (error.reason, [one.field for one in error.violations]) == ("TOO_MANY_PROCESSES", ["process"])
    assert error.retry_after_s


def test_series_of_all_processes_have_one_bound():
    admit_series(90, 10, 100)
    with pytest.raises(ResourceExhausted, match="11 are new, and all data planes together have 90") as refused:
        admit_series(90, 11, 100)
    assert [one.field for one in refused.value.violations] == ["series"]
