import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.best.reference import Reference
from bench.laws.laws import fit_line
from mnist_mlp.learning_rate import RULES, TUNED_NOISE_BATCH_SIZE
from tests.strategies import batch_sizes

GRID = 2**0.5 - 1  # relative spacing of the study's rates

rates = st.floats(1e-4, 10)


@pytest.mark.parametrize("rule", RULES)
@given(rate=rates, batch_size=batch_sizes)
def test_a_rule_begins_with_its_rate_and_grows_at_most_linearly(rule, rate, batch_size):
    """A rule starts at its rate, never falls, and never exceeds the linear rule."""
    here, next_ = RULES[rule](rate, batch_size), RULES[rule](rate, batch_size + 1)

    assert RULES[rule](rate, 1) == pytest.approx(rate)
    assert here <= next_ * (1 + 1e-12)
    assert here <= RULES["linear"](rate, batch_size) * (1 + 1e-12)


def test_the_tuned_rule_is_half_way_at_its_noise_batch_size():
    """The tuned rule grows from 0.1 to 1.47, and is half-way at its noise batch size."""
    below, above = (RULES["tuned"](0.1, size) for size in (int(TUNED_NOISE_BATCH_SIZE), 10**9))

    assert above == pytest.approx(1.47)
    assert below == pytest.approx(1.47 / 2, rel=0.05)


def test_the_tuned_rule_is_the_curve_through_the_rates_of_the_study():
    """The tuned rule's constant, which the code holds, agrees with the shipped study."""
    tuned = Reference.shipped().tuned[0.95]
    curve = fit_line(
        [1 / each.batch_size for each in tuned],
        [1 / each.learning_rate for each in tuned],
        flat="",
        proportional="",
    )

    assert curve.power(-1, 1).value == pytest.approx(TUNED_NOISE_BATCH_SIZE, rel=0.01)
    for each in tuned:
        assert RULES["tuned"](0.1, each.batch_size) == pytest.approx(each.learning_rate, rel=GRID)
