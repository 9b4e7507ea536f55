"""Life of the versions here: demanded, fetched, loaded, reported, unloaded."""
