"""Several forms of the same step; the engine uses the fastest form on this machine."""
