"""What was answered: counters, the prediction log, outcomes and queries of them."""
