"""Notification others of alerts by HTTP."""
