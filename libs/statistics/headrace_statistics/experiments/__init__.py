"""Is a variant better for people? Per unit of randomisation, and valid however often it is looked at."""
