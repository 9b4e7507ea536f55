"""Requests a second by client and model, counted by all data planes together in Valkey."""
