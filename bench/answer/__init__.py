"""Which batch size, and why? Laws fitted to a run, and what they say."""
