"""The error rates that docs/figures/statistics.csv states, on fewer runs; `make test-statistics` does them whole."""

import pytest

from tests.statistics import simulations
from tests.statistics.figures import markdown

# Of several seconds each: `make test-all` runs them.
SLOW = {
    *("dependent rows", "error sizes", "experiments, quantiles", "faults of everything", "new categories"),
    *("shifted features", "slow answers", "small rises", "sticky canaries", "surges"),
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.long) if name in SLOW else name for name in simulations.SMALL]
)
def test_the_stated_error_rates_hold(name: str):
    table = simulations.run(name, simulations.SMALL[name])
    assert table.held, markdown(table)
