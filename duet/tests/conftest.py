"""A Hypothesis profile, short turns, and Ctrl-C that works in the background."""

import signal

import pytest
from hypothesis import HealthCheck, settings

from pytest_duet import comparison, processes, turns

# A background job ignores Ctrl-C, and so would the commands to which tests send it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile(
    "duet",
    deadline=None,  # a busy machine must not fail a test
    derandomize=True,  # the same examples in each run
    max_examples=30,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("duet")


@pytest.fixture(scope="session", autouse=True)
def short_turns():
    """Make gates quick rather than exact."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(turns, "PREFERRED_TURNS", 5)
        patch.setattr(turns, "MOST_SECONDS", 0.02)
        patch.setattr(comparison, "LOAD_SECONDS", 0.01)
        patch.setattr(processes, "PATIENCE_SECONDS", 6)
        yield
