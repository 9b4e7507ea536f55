"""Pure rules: what waits in which order, who is let in, when a batch is formed, which version is loaded next."""
