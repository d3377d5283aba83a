"""pytest --benchmark-only refuses options that make no sense before any case runs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
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
    "--engines=eager,loader --precision=bfloat16": "no chosen engine computes in bfloat16: add",
    "--cache-dir=README.md/cache": "cannot keep the unpacked MNIST files in README.md/cache",
}
# One process for all, since importing torch takes seconds.
REFUSE_EACH = """
import sys
import pytest
for word in sys.argv[1:]:
    print("trying", word, flush=True)
    print("trying", word, file=sys.stderr, flush=True)
    words = ["--benchmark-only", "-p", "no:cacheprovider", *word.split()]
    print("exit code", int(pytest.main(words)))
"""


@pytest.fixture(scope="module")
def refused():
    """What pytest says to each wrong option: standard output and error."""
    command = [sys.executable, "-c", REFUSE_EACH, *REFUSALS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    outputs, errors = (
        dict(re.findall(r"^trying ([^\n]+)$(.*?)(?=^trying|\Z)", text, re.MULTILINE | re.DOTALL))
        for text in (done.stdout, done.stderr)
    )
    return {word: (outputs[word], errors[word]) for word in REFUSALS}


@pytest.mark.parametrize("word", REFUSALS)
def test_a_wrong_option_is_refused_before_any_case_runs(refused, word):
    """In a sentence, with pytest's exit code for wrong usage."""
    output, errors = refused[word]

    assert REFUSALS[word] in errors
    assert f"exit code {int(pytest.ExitCode.USAGE_ERROR)}" in output
    assert "[  1/" not in output
