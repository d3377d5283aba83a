"""Near the machine limit."""
