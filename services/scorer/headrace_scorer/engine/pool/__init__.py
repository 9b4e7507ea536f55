"""Scoring by the batchers that answer online requests: at the lowest priority, in what they leave."""
