"""How many replicas pools have: the SDK and the commands of the part scale."""
