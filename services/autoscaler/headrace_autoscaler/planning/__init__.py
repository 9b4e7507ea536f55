"""Simulations of policies on recorded traffic and advice on them, in separate processes."""
