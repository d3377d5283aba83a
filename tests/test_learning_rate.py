import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_mlp.learning_rate import NOISE_BATCH_SIZE, RULES
from tests.strategies import batch_sizes

rates = st.floats(1e-4, 10)


@pytest.mark.parametrize("rule", RULES)
@given(rate=rates)
def test_every_rule_is_told_by_its_rate_at_batch_size_one(rule, rate):
    """So that rules can be compared from the same start."""
    assert RULES[rule](rate, 1) == pytest.approx(rate)


@pytest.mark.parametrize("rule", RULES)
@given(rate=rates, batch_size=batch_sizes)
def test_no_rule_lowers_the_rate_of_a_larger_batch_nor_outruns_the_linear_one(
    rule, rate, batch_size
):
    """Averaging over more samples never asks for smaller steps."""
    here, next_ = RULES[rule](rate, batch_size), RULES[rule](rate, batch_size + 1)

    assert here <= next_ * (1 + 1e-12)
    assert here <= RULES["linear"](rate, batch_size) * (1 + 1e-12)


def test_the_noise_limited_rule_is_half_way_at_the_noise_batch_size():
    """Its limit is 2.1 for the question's 0.1, about what was found best."""
    rule = RULES["noise-limited"]

    assert rule(0.1, 10**9) == pytest.approx(2.1)
    assert rule(0.1, round(NOISE_BATCH_SIZE)) == pytest.approx(2.1 / 2)
