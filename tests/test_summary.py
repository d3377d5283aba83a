import pytest

from bench import units
from bench.report import summary, targets
from bench.runs.seeds import by_series
from tests.runs import case, measured, training


def render(*cases):
    """The summary of a run."""
    return summary.render(measured(*cases))


def flat(text):
    """The text with its line breaks undone."""
    return " ".join(text.split())


def test_the_first_to_the_target_is_set_against_the_fastest_epoch():
    """The point of the whole table, in a sentence."""
    text = flat(
        render(training(4, 2.0), case("epoch", 4, 5.0), training(256, 7.0), case("epoch", 256, 0.5))
    )

    assert "fixed learning rate batch size 4 reached test accuracy 0.95 first, after 2 s" in text
    assert "Of these batch sizes 256 has the fastest epoch, 500 ms" in text
    assert "took 3.5 times as long to the target" in text


def test_a_fastest_epoch_that_never_gets_there_is_named():
    """Within the budget, that is."""
    text = render(
        *(training(4, 2.0), case("epoch", 4, 5.0)),
        *(training(256, 9.0, reached=False), case("epoch", 256, 0.5)),
    )

    assert "256 has the fastest epoch, 500 ms, and did not reach" in flat(text)
    assert "within 10 epochs" in flat(text)
    assert "not reached (0.9000)" in text


def test_a_batch_size_with_a_fast_epoch_that_was_not_trained_is_not_compared():
    """The sentence is about the batch sizes that trained to the target."""
    text = flat(render(training(4, 2.0), case("epoch", 4, 5.0), case("epoch", 384, 0.1)))

    assert "of these batch sizes it has the fastest epoch too, 5 s" in text


def test_of_several_seeds_the_median_counts_and_a_miss_is_the_longest():
    """One miss of three leaves the median; two leave no time at all."""
    one_miss = [
        training(4, 2.0),
        training(4, 3.0),
        training(4, 1.0, reached=False, test_accuracy=0.9),
    ]
    two_misses = [*one_miss[1:], training(4, 1.0, reached=False, test_accuracy=0.8)]

    ((target,),) = by_series(measured(*one_miss)).values()
    assert targets.time_to_target(target) == "3 s"
    assert targets.over_seeds(target) == "2 s to never"
    ((target,),) = by_series(measured(*two_misses)).values()
    assert targets.time_to_target(target) == "not reached (0.8500)"


def test_each_learning_rate_rule_has_a_table_and_a_sentence():
    """Its own seeds count for it, and no other's."""
    text = render(
        training(4, 2.0),
        training(4, 1.0, lr_rule="noise-limited", learning_rate=0.4),
        training(64, 0.5, lr_rule="noise-limited", learning_rate=1.6),
    )

    assert "eager engine, fixed learning rate, to test accuracy 0.95" in text
    assert "eager engine, noise-limited learning rate, to test accuracy 0.95" in text
    assert "With the fixed learning rate batch size 4 reached" in flat(text)
    assert "With the noise-limited learning rate batch size 64 reached" in flat(text)
    assert sum(line.startswith("│") for line in text.splitlines()) == 3


def test_seeds_that_were_left_out_are_counted():
    """Beside those that ran."""
    text = render(training(64, reached=False, seeds_left_out=2), training(4, seed=0))

    assert "0 of 1, 2 left out" in text
    assert text.count("left out") == 1


def test_forms_are_named_for_whoever_wants_details():
    """A form and the batch sizes at which it was chosen; engines with one form say nothing."""
    loop, products = {"form": "loop", "form_threads": 2}, {"form": "torch", "form_threads": 1}
    found = measured(
        *(case("epoch", size, engine="native", **loop) for size in (1, 4)),
        case("epoch", 64, engine="native", **products),
        case("epoch", 64),
    )

    assert "form of an epoch: loop on 2 threads at 1 and 4; torch on 1 thread at 64." in flat(
        summary.render(found, details=True)
    )
    assert "form of" not in summary.render(found)


def test_what_was_not_measured_is_a_dash():
    """A run of step cases alone has no epochs and no targets, and needs no sentence."""
    text = render(case("step", 64, 0.001))

    assert [cell.strip() for cell in text.splitlines()[4].strip("│").split("│")] == [
        *("64", "1 ms", "-", "1", "-", "64,000", "2.5 MB"),
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
