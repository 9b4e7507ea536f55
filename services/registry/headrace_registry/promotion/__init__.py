"""Which version serves, and which may not be given up meanwhile."""
