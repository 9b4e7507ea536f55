"""The schema of the monitor's database. Its queries are next to the decisions that use them."""
