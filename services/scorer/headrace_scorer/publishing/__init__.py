"""Results of jobs on their way to online requests: checked, held or refused, published as one generation, reverted."""
