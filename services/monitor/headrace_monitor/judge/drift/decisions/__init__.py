"""Drift evaluations: result, due windows, observations for alert rules, slices that explain an alarm. Pure."""
