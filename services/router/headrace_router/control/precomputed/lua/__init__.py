"""Scripts that Valkey runs: what must happen to several keys at once."""
