"""How good it was: references, windows, drift, performance, shadows and experiments."""
