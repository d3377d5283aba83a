"""Is this change slower? Two versions of the code, in turns on one core, and a verdict."""


class UsageError(Exception):
    """What was asked for cannot be done: the message says what is wrong and what to do."""


class IncomparableError(Exception):
    """Versions, or saved runs, whose times cannot be compared."""
