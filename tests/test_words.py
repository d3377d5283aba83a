"""What a hand-made run's laws say."""

import math

from bench.answer import words

SIZES = (1, 4, 16, 64, 256)


def case(verb, batch_size, seconds, **info):
    """A case as pytest-benchmark saves it."""
    return {
        "name": f"test_{verb}[engine=eager-batch_size={batch_size}]",
        "stats": {"median": seconds},
        "extra_info": {"engine": "eager", "batch_size": batch_size, **info},
    }


def steps_timed(sizes=SIZES):
    """Steps of 150 us and 6 us a sample, but that 64 takes a twentieth more."""
    return [
        case("step", size, (150e-6 + 6e-6 * size) * (1.05 if size == 64 else 1)) for size in sizes
    ]


def trained(size, steps, *, reached=True, **info):
    """A convergence case, a millisecond a step."""
    return case("convergence", size, steps / 1000, steps=steps, reached=reached, **info)


def noise_limited(sizes=SIZES):
    """Steps to target of 850 (1 + 40 / B)."""
    return [trained(size, round(850 * (1 + 40 / size)), lr_rule="noise-limited") for size in sizes]


def test_a_run_that_trained_to_no_target_says_nothing():
    """Step times alone answer no question."""
    assert words.sentences([]) == []
    assert words.sentences(steps_timed()) == []


def test_a_suited_rate_gives_both_laws_and_the_batch_size_that_they_predict():
    """Beside the one that was measured to be the best."""
    step_time, steps, best = words.sentences(steps_timed() + noise_limited())

    assert step_time.startswith(
        "Up to batch size 256, a step of the eager engine takes 150 us + 6.14 us a sample: "
        "B_half 24 ("
    )
    assert step_time.endswith("), misfit up to 3 % at 64.")
    assert "with the noise-limited learning rate" in steps.lower()
    assert "S_min 850 (850 to 850), B_crit 40 (40 to 40), misfit up to 0 % at " in steps
    assert best.startswith("By these two laws training is shortest at B* 31 (")
    assert best.endswith("; of the batch sizes that ran, 256 was, at 983 ms.")


def test_a_fixed_rate_gives_a_slope():
    """And names what did not reach the target."""
    run = [trained(size, 15000) for size in SIZES] + [
        trained(1024, 590, reached=False),
        trained(8192, 80, reached=False),
    ]

    sentence = words.sentences(steps_timed() + run)[-1]

    assert sentence == (
        "At a fixed learning rate, steps to target go with B to the power 0.00 (0.00 to 0.00), "
        "leaving out 1024 and 8192, which did not reach it."
    )


def test_a_size_that_breaks_the_law_is_told_with_how_far_it_is_off():
    """In place of the largest misfit."""
    run = [*steps_timed((*SIZES, 128, 512)), case("step", 32, 1e-3), *noise_limited()]

    step_time = words.sentences(run)[0]

    assert ", but off by +" in step_time
    assert "% at 32" in step_time
    assert "misfit up to" not in step_time


def test_what_cannot_be_fitted_is_said_with_the_reason():
    """And nothing is predicted from half of it."""
    too_few = noise_limited((1, 4))
    without_steps = words.sentences(noise_limited())
    without_targets = words.sentences(steps_timed() + too_few)

    assert without_steps[0] == (
        "No law of step time for the eager engine: a law needs 3 batch sizes up to 1024 whose "
        "steps were timed, and there are 0."
    )
    assert not any("B*" in sentence for sentence in without_steps)
    _, no_law = without_targets
    assert no_law == (
        "No law of steps to target with the noise-limited learning rate: a law needs 3 batch "
        "sizes that reached the target, and there are 2."
    )


def test_each_rule_has_its_say():
    """In the order they ran."""
    run = steps_timed() + noise_limited() + [trained(size, 15000) for size in SIZES]

    said = words.sentences(run)

    assert [sentence.split()[0] for sentence in said] == ["Up", "With", "By", "At"]
    assert not any(str(math.nan) in sentence for sentence in said)


def test_memory_is_told_by_the_sample_and_by_what_fits():
    """Nothing where it does not grow."""
    cases = [
        {
            "name": f"test_epoch[engine=eager-batch_size={size}]",
            "stats": {"median": 1.0},
            "extra_info": {
                "engine": "eager",
                "batch_size": size,
                "samples_per_second": 6e4,
                "peak_memory_bytes": 1_000_000 + 5_000 * size,
            },
        }
        for size in (64, 1024, 8192, 60_000)
    ]

    (said,) = words.of_memory(cases, 16e9)

    assert said == (
        "An epoch of the eager engine takes 5,000 bytes more for each sample of a step; 16 GB hold "
        "batches of 3,199,800."
    )
    assert words.of_memory(cases[:2], 16e9) == []
