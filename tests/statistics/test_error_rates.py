"""The error rates that docs/statistics.md states, on fewer runs; `make test-statistics` does them whole."""

import pytest

from tests.statistics import simulations
from tests.statistics.figures import markdown


@pytest.mark.parametrize("name", simulations.SMALL)
def test_the_stated_error_rates_hold(name: str):
    table = simulations.run(name, simulations.SMALL[name])
    assert table.held, markdown(table)
