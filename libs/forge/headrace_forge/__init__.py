"""Models made into what is served: the converters and the commands of the part forge."""
