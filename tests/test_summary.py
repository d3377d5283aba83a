import pytest

from bench import units
from bench.answer import summary, targets


def case(verb, batch_size, seconds, **info):
    """A case as pytest-benchmark saves it."""
    return {
        "name": f"test_{verb}[engine=eager-batch_size={batch_size}]",
        "stats": {"median": seconds},
        "extra_info": {
            "engine": "eager",
            "batch_size": batch_size,
            "samples_per_second": 1000.0,
            "peak_memory_bytes": 2_500_000,
            "data": "MNIST",
            "device": "cpu",
            "threads": 2,
            "learning_rate": 0.1,
        }
        | info,
    }


def run_to_target(batch_size, seconds, *, accuracy=0.95, reached=True, **more):
    """A convergence case."""
    return case(
        "convergence",
        batch_size,
        seconds,
        steps=1_000,
        reached=reached,
        diverged=False,
        test_accuracy=accuracy,
        target_accuracy=0.95,
        max_epochs=10,
        **more,
    )


def flat(text):
    """The text with its line breaks undone."""
    return " ".join(text.split())


def test_the_first_to_the_target_is_set_against_the_fastest_epoch():
    """The point of the whole table, in a sentence."""
    text = summary.render(
        [
            *(run_to_target(4, 2.0), case("epoch", 4, 5.0)),
            *(run_to_target(256, 7.0), case("epoch", 256, 0.5)),
        ]
    )

    assert (
        "With the fixed learning rate batch size 4 reached test accuracy 0.95 first, after 2 s of "
        "training; batch size 256, "
        "whose epoch is the fastest at 500 ms, took 3.5 times as long."
    ) in flat(text)


def test_a_fastest_epoch_that_never_gets_there_is_said_so():
    """Within the budget, that is."""
    text = summary.render(
        [
            *(run_to_target(4, 2.0), case("epoch", 4, 5.0)),
            *(run_to_target(256, 9.0, reached=False, accuracy=0.9), case("epoch", 256, 0.5)),
        ]
    )

    assert "whose epoch is the fastest at 500 ms, did not reach it within 10 epochs." in flat(text)
    assert "not reached (0.9000)" in text


def test_one_batch_size_can_win_both():
    """Then there is nothing to set against."""
    text = summary.render([run_to_target(4, 2.0), case("epoch", 4, 5.0)])

    assert "first, after 2 s of training, and has the fastest epoch too, 5 s." in flat(text)


def test_of_several_seeds_the_median_counts_and_a_miss_is_the_longest():
    """One miss of three leaves the median; two leave no time at all."""
    one_miss = [
        run_to_target(4, 2.0),
        run_to_target(4, 3.0),
        run_to_target(4, 1.0, reached=False, accuracy=0.9),
    ]
    two_misses = [*one_miss[1:], run_to_target(4, 1.0, reached=False, accuracy=0.8)]

    ((target,),) = targets.by_rule(one_miss).values()
    assert targets.time_to_target(target) == "3 s"
    assert targets.over_seeds(target) == "2 s to never"
    ((target,),) = targets.by_rule(two_misses).values()
    assert targets.time_to_target(target) == "not reached (0.8500)"


def test_each_learning_rate_rule_has_a_table_and_a_sentence():
    """Its own seeds count for it, and no other's."""
    text = summary.render(
        [
            run_to_target(4, 2.0),
            run_to_target(4, 1.0, lr_rule="noise-limited", learning_rate=0.4),
            run_to_target(64, 0.5, lr_rule="noise-limited", learning_rate=1.6),
        ]
    )

    assert "eager engine, fixed learning rate, to test accuracy 0.95" in text
    assert "eager engine, noise-limited learning rate, to test accuracy 0.95" in text
    assert "With the fixed learning rate batch size 4 reached" in flat(text)
    assert "With the noise-limited learning rate batch size 64 reached" in flat(text)
    assert sum(line.startswith("│") for line in text.splitlines()) == 3


def test_what_was_not_measured_is_a_dash():
    """A run of step cases alone has no epochs and no targets, and needs no sentence."""
    text = summary.render([case("step", 64, 0.001)])

    assert [cell.strip() for cell in text.splitlines()[4].strip("│").split("│")] == [
        *("64", "1 ms", "-", "-", "1,000", "2.5 MB"),
    ]
    assert text.rstrip().endswith("┘")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (123.456, "123 s"),
        (1, "1 s"),
        (1234.5, "1,230 s"),
        (0.000_999_9, "1 ms"),
        (0.0123, "12.3 ms"),
        (0.000_25, "250 us"),
        (3e-8, "0.03 us"),
    ],
)
def test_seconds_have_three_digits_and_the_unit_that_suits(value, text):
    """Never an exponent for what a step or a run can take."""
    assert units.seconds(value) == text
