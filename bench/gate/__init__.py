"""Is this change slower? Two versions of the code, in turns on one core, and a verdict."""
