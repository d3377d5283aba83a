"""Hypothesis profiles, real MNIST unpacked once per session, and a limit on the size of files."""

import resource
import signal
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, settings

from mnist_mlp import datasets

# A job in the background ignores Ctrl-C, and so would the commands that tests send it to.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile(
    "suite",
    deadline=None,  # a test may be slow on a busy machine
    derandomize=True,  # a change that breaks a test is the change under test
    max_examples=30,
    suppress_health_check=[HealthCheck.too_slow],
)
# `pytest --hypothesis-profile=long tests/test_runs.py` tries more than the profile above.
settings.register_profile(
    "long", settings.get_profile("suite"), derandomize=False, max_examples=2_000
)
settings.load_profile("suite")


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory):
    """A cache folder that only this session uses."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def mnist(cache_dir):
    """The real training and test sets."""
    return datasets.load(cache_dir=cache_dir)


@pytest.fixture
def file_size_limit():
    """Return a context that limits the size of files: the kernel writes what fits, then fails."""

    @contextmanager
    def limited(size):
        _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))
        try:
            yield
        finally:  # pytest itself writes files after the test
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
            signal.signal(signal.SIGXFSZ, before)

    return limited
