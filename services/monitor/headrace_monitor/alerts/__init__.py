"""What somebody, or something, should be told of: rules, the alerts that they raise, silences, webhooks."""
