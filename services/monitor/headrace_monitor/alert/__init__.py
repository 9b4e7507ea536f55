"""Alert rules, the alerts that they open, silences, and webhooks that are notified."""
