"""Where a service is put together is one page: who reads it sees all that the service needs."""

from deploy.topology.__main__ import ROOT
from tests.kit.rows import each

WIRED = sorted(ROOT.glob("services/*/headrace_*/**/service.py"))


@each("path", WIRED)
def test_a_service_is_put_together_in_120_lines(path):
    assert len(path.read_text().splitlines()) <= 120
