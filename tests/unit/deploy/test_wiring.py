"""Where a service is put together is one page: who reads it sees all that the service needs."""

import pytest

from deploy.topology.__main__ import ROOT

WIRED = sorted(ROOT.glob("services/*/headrace_*/**/service.py"))


@pytest.mark.parametrize("path", WIRED, ids=[str(path.parent.relative_to(ROOT)) for path in WIRED])
def test_a_service_is_put_together_in_120_lines(path):
    assert len(path.read_text().splitlines()) <= 120
