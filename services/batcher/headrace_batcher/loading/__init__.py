"""Which versions are held: demanded, fetched, loaded, reported, let go."""
