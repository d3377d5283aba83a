"""A clock for pytest-benchmark that shows what a crew of workers has measured.

A round is a barrier, the work, and the slowest worker's end; how long a request takes on its way to
the workers is no part of it. In the gate, which has a clock of its own, it is.
"""


class Makespan:
    """Gives, when called, the sum of the seconds that were added so far."""

    def __init__(self) -> None:
        self._seconds = 0.0

    def __call__(self) -> float:
        """Seconds; only the difference of two readings means something."""
        return self._seconds

    def __repr__(self) -> str:
        return "makespan"  # stored in saved runs, as the timer's name

    def add(self, seconds: float) -> None:
        """Let so much time pass."""
        self._seconds += seconds


makespan = Makespan()
