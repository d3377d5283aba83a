"""Errors that are meant for the user: a command prints the error's one sentence, and ends."""


class UserError(Exception):
    """What was asked for cannot be done; the message says what was given and what to do."""

    exit_code = 1


class UsageError(UserError):
    """Options that contradict each other."""

    exit_code = 2
