"""Rollouts, experiments and approvals: the SDK and the commands of the part release."""
