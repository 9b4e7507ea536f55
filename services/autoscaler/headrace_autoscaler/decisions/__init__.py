"""What there is of a pool, and what to ask an actuator for. How many replicas it needs, `headrace_scaling` decides."""
