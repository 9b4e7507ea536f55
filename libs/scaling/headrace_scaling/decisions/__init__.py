"""The policy: `deciding.decide(policy, memory, observation)` and the values that it takes and returns."""
