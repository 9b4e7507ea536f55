"""Rollouts move a model from one version to another in judged steps."""
