"""pytest glue: what the cases of the suite share."""
