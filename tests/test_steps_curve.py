"""The curve through medians of steps, where no law is assumed."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.answer import steps_curve

medians = st.dictionaries(
    st.sampled_from([2**power for power in range(11)]), st.floats(1, 1e6), min_size=2, max_size=11
)


@given(medians=medians, sizes=st.lists(st.floats(0.5, 4096), min_size=2, max_size=9))
def test_it_never_rises_with_batch_size(medians, sizes):
    """Whatever the medians do."""
    steps = [steps_curve.fit(medians)(size) for size in sorted(sizes)]

    assert all(later <= earlier * (1 + 1e-9) for earlier, later in itertools.pairwise(steps))


@given(medians=medians)
def test_it_goes_through_medians_that_fall(medians):
    """There is nothing to pool."""
    falling = dict(zip(sorted(medians), sorted(medians.values(), reverse=True), strict=True))
    curve = steps_curve.fit(falling)

    for size, steps in falling.items():
        assert curve(size) == pytest.approx(steps)


def test_a_power_law_is_told_from_its_other_sizes():
    """Within and beyond them."""
    errors = steps_curve.left_out({size: 3000 / size**0.5 for size in (1, 4, 16, 64)})

    assert errors == pytest.approx(dict.fromkeys(errors, 0.0), abs=1e-9)


def test_a_size_off_the_others_is_seen():
    """By how much."""
    errors = steps_curve.left_out({1: 4000, 4: 2000, 16: 1500, 64: 500})

    assert errors[16] == pytest.approx(-1 / 3, abs=0.02)
