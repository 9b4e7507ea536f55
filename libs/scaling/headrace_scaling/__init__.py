"""How many replicas a pool needs, and why: the autoscaler's policy as a pure function, and its simulator."""
