"""Numbers that a request to the monitor may not have."""

import pytest
from headrace.monitor.v1 import usage_pb2
from headrace_servicekit.errors import InvalidArgument
from headrace_servicekit.ranges import check


def test_the_share_that_gave_an_internal_error_is_refused():
    with pytest.raises(InvalidArgument) as refused:
        check(usage_pb2.GetIdleTimeRequest(target_utilisation=1e-12))
    (violation,) = refused.value.violations
    assert violation.field == "target_utilisation"
    assert "0.01, the least" in violation.description
