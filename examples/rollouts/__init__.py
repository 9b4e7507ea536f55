"""Five versions of a small model, and what rollouts make of them."""
