import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.instruments.alignment import compare

turns = st.lists(st.floats(1e-6, 1e-3), min_size=30, max_size=60)


def noisy(factor, *, turns=60, spread=0.01):
    """Seconds of a size that takes `factor` as long as the one beside it."""
    random = np.random.default_rng(0)
    beside = np.exp(random.normal(-8, 0.2, turns))
    return beside * factor * np.exp(random.normal(0, spread, turns)), beside


@pytest.mark.parametrize(
    ("factor", "verdict"), [(1.0, "equal"), (1.01, "equal"), (1.1, "different"), (0.9, "different")]
)
def test_a_planted_difference_is_found_and_none_is_shown_to_be_none(factor, verdict):
    """Whatever the machine does to both alike."""
    likeness = compare(*noisy(factor), margin=0.03)

    assert likeness.verdict == verdict
    assert likeness.low < factor < likeness.high


def test_what_is_too_noisy_to_tell_is_undecided():
    """Not finding a difference is no sign that there is none."""
    assert compare(*noisy(1.0, spread=0.5), margin=0.03).verdict == "undecided"
    assert compare(*noisy(1.0, turns=3), margin=0.03).verdict == "undecided"


def test_identical_code_is_seldom_called_different():
    """At most once in twenty, when the true ratio stands on the margin."""
    random = np.random.default_rng(1)
    called = 0
    for _ in range(400):
        seconds = np.exp(np.log(1.03) + random.normal(0, 0.02, 40))
        called += compare(seconds, np.ones(40), margin=0.03).verdict != "undecided"

    assert called / 400 < 0.13  # 5 % a side, and what chance adds in 400 trials


@given(seconds=turns)
def test_swapping_sides_inverts_the_ratio(seconds):
    """No side is favoured."""
    beside = seconds[::-1]

    one, other = compare(seconds, beside, margin=0.03), compare(beside, seconds, margin=0.03)

    assert one.ratio == pytest.approx(1 / other.ratio, rel=1e-9)
    assert one.verdict == other.verdict
