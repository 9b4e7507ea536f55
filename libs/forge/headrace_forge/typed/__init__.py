"""Small typed clients of one model, written from its serving contract."""
