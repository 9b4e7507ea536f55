"""Telling others of alerts by HTTP."""
