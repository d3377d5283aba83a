"""pytest --benchmark-only refuses options that make no sense before any case runs."""

import pytest

from tests import suite

REFUSALS = {
    "--batch-sizes=8,0": "'0' is not a whole number from 1",
    "--batch-sizes=8,8": "'8,8' names a value twice",
    "--batch-sizes=": "'' is not a whole number",
    "--engines=warp": "'warp' is no engine: choose from loader, eager",
    "--lr=-1": "'-1' is not a number above 0",
    "--target-accuracy=95": "'95' is not a fraction above 0 and at most 1",
    "--max-epochs=0": "'0' is not a whole number from 1",
    "--seeds=one": "'one' is not a whole number from 0",
    "--threads=100000": "100000 threads on",
    "--device=abacus": "'abacus' is not available here",
    "--data-root=bench": "bench holds no folder NAME/raw",
    "--data-root=nowhere": "'nowhere' is no folder",
    "--cache-dir=README.md/cache": "the unpacked MNIST file README.md/cache",
}


@pytest.mark.parametrize("word", REFUSALS)
def test_a_wrong_option_is_refused_before_any_case_runs(word, monkeypatch):
    """In a sentence, with pytest's exit code for wrong usage."""
    monkeypatch.chdir(suite.ROOT)

    done = suite.run(*word.split())

    assert REFUSALS[word] in done.output
    assert done.code == pytest.ExitCode.USAGE_ERROR
    assert "[  1/" not in done.output
