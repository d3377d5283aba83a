"""Several forms of the same step, of which the fastest on this machine is used."""
