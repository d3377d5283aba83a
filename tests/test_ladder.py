"""The batch size that a search trains next."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.best.ladder import Known, rule_of_thumb

SAMPLES = 60_000
SIZES = [2**power for power in range(15)]
SIZES += [3 * size // 2 for size in SIZES[1:-1]]


def searched(steps, seconds, *, samples=SAMPLES, max_epochs=10, unreached=()):
    """Train at the sizes that the ladder asks for; return them in order, and the last state."""
    reached, missed, order = {}, {}, []
    while True:
        known = Known(
            seconds={size: seconds(size) for size in SIZES if size <= samples},
            steps=reached,
            at_least=missed,
            samples=samples,
            max_epochs=max_epochs,
        )
        size = known.next_size()
        if size is None:
            return order, known
        order.append(size)
        if size in unreached:
            missed[size] = max_epochs * samples // size
        else:
            reached[size] = steps(size)


def test_a_search_without_a_size_that_can_train_ends():
    """Where no batch size can train, there is no next size."""
    assert Known(seconds={}, steps={}, at_least={}, samples=9, max_epochs=1).next_size() is None


@given(
    critical=st.floats(1, 5_000),
    overhead=st.floats(1e-6, 1e-2),
    per_sample=st.floats(1e-7, 1e-4),
    samples=st.integers(100, SAMPLES),
)
def test_the_best_size_is_found_where_both_laws_hold(critical, overhead, per_sample, samples):
    """A search starts near sqrt(N) and finds a size as fast as the best power of two."""

    def steps(size):
        return 1000 * (1 + critical / size)

    def seconds(size):
        return overhead + per_sample * size

    order, known = searched(steps, seconds, samples=samples, max_epochs=10**6)

    powers = [size for size in SIZES if size <= samples and size.bit_count() == 1]
    assert order[0] == rule_of_thumb(samples)
    assert len(set(order)) == len(order)
    assert known.least_seconds <= min(steps(size) * seconds(size) for size in powers) * (1 + 1e-9)


def test_what_cannot_be_faster_is_not_trained():
    """If steps fall as 1 / B and step times do not grow, no smaller size is trained."""
    order, known = searched(lambda size: 1e6 / size, lambda _: 1e-3, max_epochs=10**6)

    assert min(order) == 256
    assert known.best == max(SIZES)
    assert not known.could_win(128)


def test_the_sizes_beside_the_best_are_slower_or_ruled_out():
    """Each size within a factor of 2 of the best was trained, or cannot win."""
    order, known = searched(lambda size: 850 * (1 + 40 / size), lambda size: 2e-4 + 6e-6 * size)

    assert order[:2] == [256, 128]
    assert known.best in {24, 32, 48}
    for size in SIZES:
        if size not in order and abs(math.log2(size / known.best)) <= 1:
            assert not known.could_win(size)


def test_where_a_size_misses_the_target_smaller_ones_are_tried_and_larger_ones_are_not():
    """A larger batch takes fewer steps in as many epochs, so it misses the target, too."""
    order, known = searched(
        lambda _: 10_000, lambda _: 1e-3, unreached={256, 128, 64}, max_epochs=10
    )

    assert order[:4] == [256, 128, 64, 32]
    assert not any(size > 256 for size in order)
    assert known.best is not None


def test_a_target_that_no_size_reaches_ends_at_the_smallest():
    """A search without success tries all smaller sizes, and has no best size."""
    order, known = searched(lambda _: 1, lambda _: 1e-3, unreached=SIZES)

    assert order == [256, 128, 64, 32, 16, 8, 4, 2, 1]
    assert known.best is None
    assert known.least_seconds == math.inf


@pytest.mark.parametrize(("samples", "thumb"), [(60_000, 256), (1, 1), (100, 8), (10_000, 128)])
def test_the_rule_of_thumb_is_the_power_of_two_nearest_to_the_square_root(samples, thumb):
    """The rule of thumb is the power of 2 nearest to sqrt(N) on a logarithmic scale."""
    assert rule_of_thumb(samples) == thumb
