"""Outcomes of predictions (ground truth, rewards): recording them, and finding the predictions they belong to."""
