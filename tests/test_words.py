"""What a hand-made run's laws say."""

import math

from bench.report import words
from tests.runs import case, measured, training

SIZES = (1, 4, 16, 64, 256)


def sentences(cases):
    """What the laws of a run say."""
    return words.sentences(measured(*cases))


def steps_timed(sizes=SIZES):
    """Steps of 150 us and 6 us a sample, but that 64 takes a twentieth more."""
    return [
        case("step", size, (150e-6 + 6e-6 * size) * (1.05 if size == 64 else 1)) for size in sizes
    ]


def trained(size, steps, **info):
    """A training to the target, a millisecond a step."""
    return training(size, steps / 1000, **info)


def noise_limited(sizes=SIZES):
    """Steps to target of 850 (1 + 40 / B)."""
    return [trained(size, round(850 * (1 + 40 / size)), lr_rule="noise-limited") for size in sizes]


def test_a_run_that_trained_to_no_target_says_nothing():
    """Step times alone answer no question."""
    assert sentences([]) == []
    assert sentences(steps_timed()) == []


def test_a_suited_rate_gives_both_laws_and_the_batch_size_that_they_predict():
    """Beside the batch size that was measured to be the best."""
    step_time, steps, best = sentences(steps_timed() + noise_limited())

    assert "eager engine takes 150 us + 6.14 us a sample: B_half 24 (" in step_time
    assert "misfit up to 3 % at 64" in step_time
    assert "noise-limited learning rate" in steps
    assert "S_min 850 (850 to 850), B_crit 40 (40 to 40), misfit up to 0 % at " in steps
    assert "B* 31 (" in best
    assert "256 was the fastest, with 983 ms." in best


def test_batch_sizes_whose_seeds_overlap_with_the_bests_are_named():
    """A prediction is not confirmed by a best batch size that cannot be told from others."""
    again = [
        training(size, 1.0 + size / 1000, seed=1, lr_rule="noise-limited") for size in (16, 256)
    ]

    best = sentences(steps_timed() + noise_limited() + again)[-1]

    assert "256 was the fastest" in best
    assert "its seeds overlap with those of 16." in best


def test_a_fixed_rate_gives_a_slope():
    """And names what did not reach the target."""
    run = [trained(size, 15000) for size in SIZES] + [
        trained(1024, 590, reached=False),
        trained(8192, 80, reached=False),
    ]

    sentence = sentences(steps_timed() + run)[-1]

    assert "At a fixed learning rate" in sentence
    assert "to the power 0.00 (0.00 to 0.00)" in sentence
    assert "leaving out 1024 and 8192, which did not reach it" in sentence


def test_three_batch_sizes_are_too_few_for_a_slope():
    """Their interval would say nothing."""
    run = [trained(size, 15000) for size in SIZES[:3]] + [trained(1024, 590, reached=False)]

    sentence = sentences(steps_timed() + run)[-1]

    assert "too few batch sizes reached the target to tell: 3 of 4, and 4 are needed" in sentence
    assert "power" not in sentence


def test_a_size_that_breaks_the_law_is_told_with_how_far_it_is_off():
    """In place of the largest misfit."""
    run = [*steps_timed((*SIZES, 128, 512)), case("step", 32, 1e-3), *noise_limited()]

    step_time = sentences(run)[0]

    assert ", but off by +" in step_time
    assert "% at 32" in step_time
    assert "misfit up to" not in step_time


def test_what_cannot_be_fitted_is_said_with_the_reason():
    """And nothing is predicted from half of it."""
    too_few = noise_limited((1, 4))
    without_steps = sentences(noise_limited())
    without_targets = sentences(steps_timed() + too_few)

    assert "No law of step time for the eager engine" in without_steps[0]
    assert "3 batch sizes up to 1024 whose steps were timed, and there are 0" in without_steps[0]
    assert not any("B*" in sentence for sentence in without_steps)
    _, no_law = without_targets
    assert "No law of steps to target with the noise-limited learning rate" in no_law
    assert "3 batch sizes that reached the target, and there are 2" in no_law


def test_each_rule_has_its_say():
    """In the order they ran."""
    run = steps_timed() + noise_limited() + [trained(size, 15000) for size in SIZES]

    said = sentences(run)

    assert [sentence.split()[0] for sentence in said] == ["Up", "With", "By", "At"]
    assert not any(str(math.nan) in sentence for sentence in said)


def test_memory_grows_by_so_many_bytes_a_sample_and_is_a_limit_or_not():
    """No sentence where it does not grow, and none about batches beyond the training set."""
    epochs = measured(
        *(
            case("epoch", size, peak_memory_bytes=1_000_000 + 5_000 * size)
            for size in (64, 1024, 8192, 60_000)
        )
    )

    (enough,) = words.of_memory(epochs, 16e9)
    (too_little,) = words.of_memory(epochs, 100e6)

    assert "the eager engine takes 5,000 bytes more for each sample of a step" in enough
    assert "16 GB hold a batch of all 60,000, so memory is no limit here" in enough
    assert "0 GB hold batches of about 20,000" in too_little
    assert words.of_memory(epochs[:2], 16e9) == []
