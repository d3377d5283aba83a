"""The summary that a run prints when it ends: tables, and the answer."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import units
from bench.laws.laws import Estimate
from bench.report import summary
from tests.runs import case, measured, training

SIZES = (1, 4, 16, 64, 256, 1024, 60_000)
# Seconds of a step beside its samples, and per sample.
ENGINES = {"loader": (14e-5, 4e-6), "eager": (11e-5, 4e-6), "compiled": (8e-5, 4e-6)}
ENGINES["native"] = (15e-6, 3e-6)


def render(*cases, **options):
    """The summary of a run."""
    return summary.render(measured(*cases), **options)


def flat(text):
    """The text with its line breaks undone."""
    return " ".join(text.split())


def step(size, engine="native", **info):
    """A step that follows the law of its engine."""
    overhead, per_sample = ENGINES[engine]
    return case("step", size, overhead + per_sample * size, engine=engine, **info)


def epoch(size, engine="native", **info):
    """An epoch of such steps."""
    overhead, per_sample = ENGINES[engine]
    seconds = math.ceil(60_000 / size) * overhead + 60_000 * per_sample
    peak = {"peak_memory_bytes": 1_000_000 + 5_000 * size}
    return case("epoch", size, seconds, engine=engine, **(peak | info))


def trained(size, rule, seed=0, **info):
    """A training to the target by the law of steps, a flat one where the rate is fixed."""
    steps = (850 * (1 + 30 / size) if rule == "tuned" else 15_000) * (1 + seed / 50)
    epochs = steps * size / 60_000
    overhead, per_sample = ENGINES["native"]
    if missed := epochs > 10:
        epochs, steps = 10, max(10, 600_000 / size)
    info = {"seed": seed, "lr_rule": rule, "engine": "native", "reached": not missed} | info
    seconds = steps * (overhead + per_sample * size)
    return training(size, seconds, steps=round(steps), epochs=epochs, **info)


def default_run():
    """The cases of a default run, and those that it leaves out."""
    cases = [
        *(step(size, engine, disturbed="", compile_seconds=0.1)
          for engine in ENGINES for size in SIZES),
        *(epoch(size, "loader", disturbed="") for size in (1, 256, 60_000)),
        *(epoch(size, engine, disturbed="other processes took 20 % of a core" * (size == 4))
          for engine in ("eager", "compiled", "native") for size in SIZES[1:]),
        *(trained(size, rule, seed)
          for rule in ("fixed", "tuned") for size in SIZES for seed in (0, 1, 2)),
    ]  # fmt: skip
    left_out = [
        *(("epoch", "loader", size, "loader epochs take long") for size in (4, 16, 64, 1024)),
        *(("epoch", engine, 1, "an epoch takes 13 s here") for engine in ("eager", "compiled")),
    ]
    return cases, left_out


def test_a_default_run_is_at_most_60_lines_with_the_answer_first():
    """Tables come first, then the best size, why 1 is slow, and what 60,000 lost.

    Cases that were left out are marked in the table, and each reason is given once below.
    """
    cases, left_out = default_run()
    text = render(*cases, left_out=left_out)
    tables, answer = text.split("\n\n")

    assert len(text.splitlines()) <= 60 - 3  # --full and pytest add up to three lines
    assert 15 <= len(answer.splitlines()) <= 25
    assert max(map(len, text.splitlines())) <= units.WIDTH
    assert [line.split()[0] for line in tables.splitlines() if " engine: " in line] == [*ENGINES]
    starts = "Fixed learning rate", "Tuned learning rate", "Why an epoch", "Batch size 60"
    places = [answer.index(start) for start in starts]
    assert places == sorted(places)
    assert places[0] == 0
    row = next(line for line in text.splitlines() if line.startswith("    4")).split()
    assert row[:5] == ["4", "156", "us", "left", "out"]
    assert text.count("loader epochs take long") == 1
    assert "Left out, eager epoch and compiled epoch: an epoch takes 13 s here." in text


AXES = [
    case("loading", 256, samples_per_second=12_345.6, workers=0),
    case("loading", 256, samples_per_second=99, workers=2),
    case("feeding", 256, samples_per_second=9_000, workers=1, threads=1),
    case("threads", 256, samples_per_second=1e5, threads=1),
    case("threads", 256, samples_per_second=2e5, threads=2),
    case("workers_step", 64, samples_per_second=1e4, workers=2, threads=1),
    case("alignment", 96, beside=128, ratio=1.084, verdict="different"),
    case("step", 1, compile_seconds=2.5),
    case("peers", 4, 2.0, peer_seconds={"JAX": [2.0, 3.0, 9.0]}),
    case("peers", 64, peer_seconds={"JAX": [9.0]}, peer_ratios={"JAX": (1.25, 1.1, 1.4)}),
]


@given(st.integers(0, 2**32), st.booleans())
def test_any_part_of_a_run_fits_its_columns_and_lines(seed, details):
    """No part of a run makes a line or an answer too long."""
    cases, left_out = default_run()
    draw = random.Random(seed)
    part = draw.sample([*cases, *AXES], draw.randint(0, 60))
    text = render(*part, left_out=draw.sample(left_out, 3), details=details)

    assert max(map(len, text.splitlines())) <= units.WIDTH
    answer = text.partition("\n\n")[2]
    assert details or len(answer.splitlines()) <= 25
    assert "nan" not in text


def test_details_add_columns_and_leave_no_sentence_out():
    """The option -v shows seeds, spread, steps, rates, rounds and forms."""
    cases, left_out = default_run()
    cases = [*cases, case("step", 128, engine="native", form="loop", form_threads=2)]
    text = render(*cases, left_out=left_out, details=True)

    for heading in ("rounds", "form", "rate", "seeds", "over seeds", "steps"):
        assert f": {heading}" in text
    assert "loop, 2 threads" in text
    assert "-v prints" not in text
    assert "form" not in render(*cases).partition("\n\n")[0]


@pytest.mark.parametrize(
    ("slower", "words"),
    [
        (training(256, 7.0), "which takes 3.5 times as long to the target."),
        (training(256, 9.0, reached=False), "which did not reach the target."),
    ],
)
def test_the_first_to_the_target_is_compared_with_the_fastest_epoch(slower, words):
    """A fast epoch does not make training fast."""
    epochs = [case("epoch", size, seconds) for size, seconds in ((4, 5.0), (256, 0.5), (384, 0.1))]
    text = flat(render(training(4, 2.0), slower, *epochs))

    assert "batch size 4 trained fastest to test accuracy 0.95, in 2 s." in text
    assert f"The fastest epoch, 500 ms, is that of 256, {words}" in text


def test_where_no_batch_size_reached_the_target_the_closest_is_named():
    """The table shows the score that each size came to."""
    text = flat(render(training(4, reached=False), training(64, reached=False, test_score=0.94)))

    assert "no batch size reached test accuracy 0.95 within 10 epochs; 64 came closest, at" in text
    assert "not reached (0.900)" in text


@pytest.mark.parametrize(
    ("others", "words"),
    [
        ((3.0, 4.0, 5.0), "Too close to call, since seeds overlap: batch size 64."),
        ((9.0, 9.1, 9.2), "All seeds of 64 were slower (p at most 0.1 for each)."),
        ((2.6, 2.7, 2.8), "over 3 seeds). Within 10 % of it: 64."),
        ((3.0,), "One seed each cannot tell batch sizes apart"),
    ],
    ids="seconds={}".format,
)
def test_batch_sizes_are_told_apart_by_their_seeds(others, words):
    """A single seed of each size cannot tell sizes apart."""
    text = render(
        *(
            training(size, seconds, seed=seed)
            for size, times in ((16, (2.0, 2.5, 3.5)[: len(others)]), (64, others))
            for seed, seconds in enumerate(times)
        )
    )

    assert words in flat(text)
    assert ("were slower" in text) == ("were slower" in words)


def test_of_several_seeds_the_median_counts_and_a_miss_is_the_longest():
    """One miss of three leaves a median, two leave none. Skipped seeds are counted."""
    misses = [
        training(4, 1.0, reached=False, test_score=accuracy, seeds_left_out=1)
        for accuracy in (0.9, 0.8)
    ]
    for others, cells in (
        ([training(4, 3.0), misses[0]], "4 3 s 0.1 2 of 3, 1 left out 2 s to never"),
        (misses, "not reached (0.850) 0.1 1 of 3, 2 left out"),
    ):
        assert cells in flat(render(training(4, 2.0), *others, details=True))


def test_an_epoch_at_1_is_slow_by_what_its_updates_cost():
    """The sentence is about the engine `loader` where it ran, as the question was."""
    steps = [step(size, engine) for engine in ENGINES for size in SIZES]
    text = flat(render(*steps, epoch(1, "loader"), epoch(1)))

    assert "(loader engine): each update costs 140 us (140 us to 140 us) apart from load" in text
    assert "pays that 60,000 times, 8.4 s of its 8.64 s; an epoch in one batch pays it once" in text
    assert "That cost is 110 us with eager, 80 us with compiled and 15 us with native." in text

    quick = case("epoch", 1, 0.6, engine="native", peak_memory_bytes=1_000_000)
    text = flat(render(*steps, epoch(1, "loader"), quick))
    assert "80 us with compiled and at most 10 us with native." in text


def test_the_largest_batch_size_is_told_by_its_updates():
    """A batch of the whole training set makes one update per epoch."""
    text = flat(render(*(trained(size, "fixed") for size in (1, 4, 60_000))))

    assert "Batch size 60000 (native engine) makes one update per epoch. At the fixed rate" in text
    assert "came to test accuracy 0.900; batch size 1 came to 0.951 with 15,000" in text


def laws_of(*cases):
    """The sentences about laws."""
    return flat(render(*cases, details=True)).partition("Laws")[2]


def test_a_suited_rate_gives_both_laws_and_the_batch_size_that_they_predict():
    """Each law has intervals and its largest misfit."""
    text = laws_of(*map(step, SIZES), *(trained(size, "tuned") for size in SIZES[:5]))

    assert "o / c = B_half = 5 (5 to 5), off by up to 0 % at" in text
    assert "S_min = 850 (850 to 850), B_crit = 30 (30 to 30), off by up to 0 % at" in text
    assert "is least at B*; B* = 12 (12 to 12)." in text


def test_a_fixed_rate_gives_a_slope_without_what_missed_the_target():
    """With too few sizes the summary gives the reason why there is no slope."""
    run = [trained(size, "fixed") for size in (1, 2, 4, 16, 64, 1024)]

    assert "grow as B to the power 0.00 (0.00 to 0.00) (without 64 and 1024," in laws_of(*run)
    assert "none, since too few batch sizes reached the target to tell: 3" in laws_of(*run[:3])


@pytest.mark.parametrize(
    ("ends", "text"),
    [
        ((20, 29), "24 (20 to 29)"),
        ((2.4, 240), "24 (2.4 to 240)"),
        ((8.7e-11, 2.4e8), "cannot be told from this run"),
        ((2, 30), "cannot be told from this run"),
        ((20, math.inf), "cannot be told from this run"),
        ((0, 30), "cannot be told from this run"),
    ],
)
def test_an_interval_wider_than_a_factor_of_ten_tells_nothing(ends, text):
    """Two powers of ten around a number would look like knowledge."""
    assert units.estimate(Estimate(value=24, low=ends[0], high=ends[1])) == text


def test_laws_that_a_run_cannot_tell_are_not_printed_as_numbers():
    """Three sizes and some noise leave intervals over many powers of ten."""
    noisy = {1: (1.0, 99), 4: (1.6, 50), 16: (1.5, 60)}
    run = [case("step", size, seconds, engine="native") for size, (seconds, _) in noisy.items()]
    for size, (_, steps) in noisy.items():
        run.append(training(size, lr_rule="tuned", engine="native", steps=steps))
    text = flat(render(*run, epoch(1), details=True))

    assert text.count("cannot be told from this run") >= 4
    assert "e+" not in text
    assert "e-" not in text


def test_each_axis_gets_its_sentence():
    """Throughputs, cores, verdicts and peers are all reported."""
    text = flat(render(*AXES))

    for words in (
        "DataLoader alone, batches of 256, by worker processes: 12,346 samples/s with 0, 99 sam",
        "Cores that compute + cores that load, eager engine: 9,000 samples/s with 1 + 1.",
        "Cores, eager engine: 100,000 samples/s with 1, 200,000 samples/s with 2.",
        "Workers x threads, eager engine, batch size 64: 10,000 samples/s with 2 x 1.",
        "neighbouring batch size, eager engine: 96 to 128 +8.4% (different).",
        "Compiling and choosing forms took 2.5 s",
        "Time of JAX divided by time of eager: 1.50 at batch size 4, 1.25 (1.10 to 1.40) at batch",
    ):
        assert words in text


@pytest.mark.parametrize(
    ("control", "other", "has_verdicts"),
    [
        ("equal", "different", True),
        ("undecided", "different", False),
        ("different", "equal", False),
        ("equal", "the overhead is not known", False),
    ],
)
def test_alignment_without_a_control_that_is_equal_has_no_verdicts(control, other, has_verdicts):
    """One sentence gives the reason."""
    text = flat(
        render(
            case("alignment", 128, beside=128, ratio=1.05, verdict=control),
            case("alignment", 96, beside=128, ratio=1.09, verdict=other),
        )
    )

    assert ("96 to 128 +9.0% (different)" in text) == has_verdicts
    assert ("no verdict, because the control (a size beside itself)" in text) != has_verdicts


def test_disturbed_cases_are_marked_and_counted():
    """The table and a sentence show them; a run that was not watched has no such sentence."""
    calm = case("step", 16, 1e-3, disturbed="")
    text = flat(
        render(calm, case("step", 64, 2e-3, disturbed="the machine slept"), case("epoch", 64, 2.0))
    )

    assert "64 2 ms* 2 s" in text
    assert "1 of 2 cases was disturbed (marked *), the first test_step[engine=eager-batch_" in text
    assert "Other processes disturbed none of 1 cases." in render(calm)
    assert "disturbed" not in render(case("step", 16, 1e-3))


def test_memory_grows_by_so_many_bytes_per_sample_and_is_a_limit_or_not(monkeypatch):
    """There is no sentence where memory does not grow with the batch size."""

    def summary_of(physical_bytes, *sizes):
        memory = type("Memory", (), {"total": physical_bytes})
        monkeypatch.setattr(summary.psutil, "virtual_memory", memory)
        return flat(render(*map(epoch, sizes)))

    assert "5,000 bytes (native); 16 GB hold a batch of all 60,000" in summary_of(16e9, *SIZES)
    assert "0 GB hold batches of about 20,000" in summary_of(100e6, *SIZES)
    assert "Peak memory" not in summary_of(16e9, 64, 1024)


def test_a_run_of_steps_alone_is_a_table_and_no_sentence():
    """A verb that was not measured has no column."""
    assert render(case("step", 64, 0.001)).split("\n") == [
        "eager engine: MNIST, cpu, 2 threads",
        "batch  step  samples/s  memory",
        "   64  1 ms     64,000  2.5 MB",
        "",
    ]


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
    """The time of a step or a run is never written with an exponent."""
    assert units.seconds(value) == text
