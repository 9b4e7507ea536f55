"""Following the registry, and holding there what routes name."""
