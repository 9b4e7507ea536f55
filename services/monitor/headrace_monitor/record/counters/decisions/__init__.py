"""From reports to minutes: differences of totals, changed series, tallies, observations, sums. Pure."""
