"""The router's control plane: which version answers which share of a model's traffic, and from when on."""
