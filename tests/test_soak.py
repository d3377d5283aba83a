"""A minute of everything at once; `tox run -e soak` goes on for two hours."""

import pytest

from tests import soak


@pytest.mark.slow
def test_a_minute_of_everything_finds_nothing():
    """Files stay whole, processes end, and failures are said in a line."""
    findings = []
    done = soak.run(60, seed=0, tell=findings.append)

    assert findings == []
    assert sum(done.commands.values()) > 3
