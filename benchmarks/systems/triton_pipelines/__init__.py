"""The benchmark's ensemble as users of Triton build it: by its ensemble scheduler, and as a model that calls models."""
