"""Is this change slower? Two versions of the code, in turns on one core, and a verdict."""

PROTOCOL = 1  # between duet and worker; grows when a request or an answer changes its meaning
