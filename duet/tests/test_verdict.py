"""From paired ratios to verdicts: properties that hold for any numbers."""

import itertools
import math
from collections import Counter
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pytest_duet import pair_tests, stages, verdict
from pytest_duet.pair_tests import Pair
from pytest_duet.verdict import Evidence, Verdict

MARGIN = 0.05
ANY_TIME = {"until": math.inf, "tell": lambda _: None}

# Mostly near the margin, where verdicts change, and sometimes far from it, like noise.
log_ratios = st.one_of(st.floats(-0.15, 0.15), st.floats(-3, 3))
MOST_PAIRS = 60  # two attempts at both stages take fewer


@st.composite
def gates(draw, head=log_ratios):
    """Draw some cases with their families, and a long series of pairs for each."""
    sizes = draw(st.lists(st.integers(1, 5), min_size=1, max_size=3, unique=True))
    verbs = draw(st.lists(st.sampled_from(["step", "epoch"]), min_size=1, max_size=2, unique=True))
    families = {f"{verb}[{size}]": verb for verb in verbs for size in sizes}
    measured = {}
    for name in families:
        block = draw(
            st.lists(st.builds(Pair, head=head, control=log_ratios), min_size=1, max_size=5)
        )
        measured[name] = (block * MOST_PAIRS)[:MOST_PAIRS]
    return families, measured


def decide(measured, families):
    """Judge a gate whose pairs come from these series."""
    return verdict.judge(evidence_of(measured, families), margin=MARGIN)


def source(measured):
    """Return a function that takes the next pair of each case at every call."""
    position = itertools.count()

    def measure(names, **_):
        now = next(position)
        return {name: measured[name][now % len(measured[name])] for name in names}

    return measure


def verdicts(judged):
    """Return the verdict of each judgement."""
    return {name: judgement.verdict for name, judgement in judged.items()}


@given(gates())
def test_every_case_and_family_gets_exactly_one_verdict(gate):
    """No case is without a verdict, and no case that could be slower by twice the margin is ok."""
    families, measured = gate
    sizes = Counter(families.values())

    judgements = decide(measured, families)

    assert set(judgements) == set(families) | {family for family in sizes if sizes[family] > 1}
    for judgement in judgements.values():
        assert judgement.verdict in Verdict
        assert judgement.verdict is not Verdict.OK or judgement.estimate.high < 1 + 2 * MARGIN


@given(gates(head=st.floats(-3, 0)))
def test_a_head_that_is_never_slower_is_never_a_regression(gate):
    """A head that is not slower in any pair passes, whatever the control's ratios are."""
    families, measured = gate

    assert Verdict.REGRESSION not in verdicts(decide(measured, families)).values()


def evidence_of(measured, families):
    """Return the evidence of a gate whose pairs come from these series."""
    measure = source(measured)
    return stages.run(lambda: nullcontext(measure), families, margin=MARGIN, **ANY_TIME)


@given(gates())
def test_the_same_evidence_with_sides_swapped_swaps_regression_and_improvement(gate):
    """A regression and an improvement need the same evidence."""
    families, measured = gate
    forward = evidence_of(measured, families)
    reverse = replace(forward, screen=swapped(forward.screen), confirm=swapped(forward.confirm))

    before, after = (verdicts(verdict.judge(each, margin=MARGIN)) for each in (forward, reverse))

    for first, second in ((before, after), (after, before)):
        regressed = {name for name in first if first[name] is Verdict.REGRESSION}
        assert regressed == {name for name in second if second[name] is Verdict.IMPROVEMENT}


def swapped(pairs):
    """Return the pairs with base and head exchanged."""
    return {
        name: [Pair(head=-pair.head, control=-pair.control) for pair in series]
        for name, series in pairs.items()
    }


def test_the_ratio_of_identical_code_is_not_biased():
    """The mean ratio is 1 although the noise of turns is skewed: some take much longer."""
    rng = np.random.default_rng(0)

    pairs = [pair_tests.pair_of(np.exp(rng.exponential(0.1, (3, 50)))) for _ in range(2_000)]

    for ratios in ([pair.head for pair in pairs], [pair.control for pair in pairs]):
        assert abs(np.mean(ratios)) < 4 * np.std(ratios) / math.sqrt(len(ratios))


@pytest.mark.parametrize("hypotheses", range(1, 101))
def test_the_smallest_reachable_p_passes_the_corrected_level(hypotheses):
    """With the needed pairs, every test can reject, even if one pair says the contrary."""
    pairs = pair_tests.pairs_needed(hypotheses)
    slower = [1.0] * (pairs - 1) + [-1.0]

    assert pair_tests.sign_test(slower, margin=MARGIN) <= pair_tests.LEVEL / hypotheses
    assert pair_tests.is_open(
        [Pair(head=value, control=0.0) for value in slower[1:]], margin=MARGIN, needed=pairs
    )
    assert {f"case {n}" for n in range(hypotheses)} == pair_tests.holm(
        {f"case {n}": pair_tests.sign_test(slower, margin=MARGIN) for n in range(hypotheses)}
    )


@pytest.mark.parametrize("slower", [1, 2, 5, 40])
def test_a_slowdown_of_ten_percent_is_caught(slower):
    """The slowed cases, one or many, are regressions, and the unchanged cases are not."""
    families = {f"step[{index}]": "step" for index in range(40)}
    slowed = set(list(families)[:slower])
    measured = {
        name: [Pair(head=math.log(1.1) * (name in slowed), control=0.0)] for name in families
    }

    result = verdicts(decide(measured, families))

    assert {name for name in families if result[name] is Verdict.REGRESSION} == slowed


def test_a_family_catches_a_slowdown_that_is_caught_in_no_single_case():
    """The geometric mean of a family's ratios is more precise than each of them."""
    families = {f"step[{index}]": "step" for index in range(8)}
    noise = [0.3, -0.3, 0.1, -0.1]
    measured = {
        name: [Pair(head=0.08 + noise[(pair + index) % 4], control=0.0) for pair in range(40)]
        for index, name in enumerate(families)
    }

    result = verdicts(decide(measured, families))

    assert result["step"] is Verdict.REGRESSION
    assert Verdict.REGRESSION not in [result[name] for name in families]


@given(gates())
def test_stopping_early_changes_no_verdict(gate):
    """A test ends early only if it could no longer reject."""
    families, measured = gate
    screened = stages.screen(source(measured), families, **ANY_TIME)
    left_open = {
        name: pairs
        for name, pairs in screened.items()
        if not verdict.is_settled(pairs, margin=MARGIN)
    }
    assume(left_open)
    needed = pair_tests.pairs_needed(len(left_open))
    confirmed = stages.confirm(source(measured), left_open, families, margin=MARGIN, **ANY_TIME)
    in_full = pair_tests.with_families(measured, families)

    for sign in (1, -1):
        early, full = (
            pair_tests.sign_tests(pairs, lambda pair: sign * pair.head, margin=MARGIN)  # noqa: B023
            for pairs in (confirmed, {name: in_full[name][:needed] for name in left_open})
        )

        assert pair_tests.holm(early) == pair_tests.holm(full)


def judged(*pairs):
    """Return the judgement of a gate on one case that repeats these pairs."""
    return decide({"step[1]": pairs}, {"step[1]": "step"})["step[1]"]


def test_speed_is_not_judged_if_identical_code_differs():
    """A noisy machine makes every case inconclusive, unless the machine is calm in the repeat."""
    noisy, calm = Pair(head=0.5, control=0.2), Pair(head=0.0, control=0.0)
    first_attempt = verdict.SCREENING_PAIRS + pair_tests.pairs_needed(1)

    still_noisy = judged(noisy)
    calmed_down = judged(*[noisy] * first_attempt, *[calm] * 40)

    assert still_noisy.verdict is Verdict.INCONCLUSIVE
    assert still_noisy.reason == "noisy machine: two copies of the base differ"
    assert calmed_down.verdict is Verdict.OK


def test_a_case_that_is_still_open_when_minutes_run_out_is_not_judged(monkeypatch):
    """The screen takes fewer cases to leave time for the confirmation of a slow case."""
    now = [0.0]
    monkeypatch.setattr(stages, "time", SimpleNamespace(monotonic=lambda: now[0]))
    names = ["slow", *(f"fast {number}" for number in range(9))]

    def measure(chosen, *, until, **_):
        pairs = {}
        for name in chosen:
            if now[0] < until:
                now[0] += 1
                pairs[name] = Pair(head=0.2 * (name == "slow"), control=0.0)
        return pairs

    evidence = stages.run(
        lambda: nullcontext(measure),
        dict(zip(names, names, strict=True)),
        margin=MARGIN,
        until=20,
        tell=lambda _: None,
    )

    assert list(evidence.screen) == names[:4]
    assert evidence.not_judged == {"slow": "--minutes ran out"}
    assert verdict.judge(evidence, margin=MARGIN)["slow"].verdict is Verdict.NOT_JUDGED


def test_a_case_that_is_too_noisy_is_inconclusive_after_the_most_pairs():
    """The reason names the slowdown that noise could hide."""
    noise = judged(Pair(head=0.5, control=0.4), Pair(head=-0.5, control=-0.4))
    blurred = judged(Pair(head=0.18, control=0.0), Pair(head=0.02, control=0.0))

    assert noise.verdict is blurred.verdict is Verdict.INCONCLUSIVE
    assert noise.pairs == verdict.MOST_PAIRS
    assert noise.reason == f"noise could hide a slowdown of {noise.estimate.high - 1:.0%}"


@pytest.mark.parametrize("pairs", [3, 11])
def test_intervals_contain_the_true_ratio_in_95_percent(pairs):
    """The rate holds for independent processes whose ratio is known."""
    rng = np.random.default_rng(1)
    held, trials = 0, 2_000
    for _ in range(trials):
        base, control, head = rng.normal(0, 0.01, (3, pairs))
        series = [
            Pair(head=0.02 + h - (b + c) / 2, control=c - b)
            for b, c, h in zip(base, control, head, strict=True)
        ]
        estimate = pair_tests.estimate(series, [], margin=MARGIN, hypotheses=1)
        held += estimate.low <= math.exp(0.02) <= estimate.high

    assert 0.935 < held / trials < 0.965


MIB = 2**20


def test_memory_regresses_by_a_tenth_and_four_mebibytes_in_three_pairs():
    """Memory must have grown in each pair, compared with both processes of the base."""

    def has_grown(base, *heads):
        peaks = [[base * MIB, base * MIB // 2, head * MIB] for head in heads]
        return bool(verdict.memory_growth(peaks))

    assert [has_grown(0, 5, 5, 5), has_grown(10, 15, 15, 15)] == [True, True]
    assert [has_grown(10, 15, 15, 11), has_grown(10, 50, 50)] == [False, False]
    assert [has_grown(100, 109, 109, 109), has_grown(100, 111, 111, 111)] == [False, True]


def test_memory_losses_and_failures_are_judged_before_speed():
    """A faster head does not pass if it needs more memory, has other losses, fails or is cut."""
    name = "step[1]"
    fast = Evidence(
        screen={name: [Pair(head=-0.5, control=0.0)] * 3},
        confirm={name: [Pair(head=-0.5, control=0.0)] * 40},
    )
    growing = replace(fast, peak_bytes={name: [[10 * MIB, 9 * MIB, 50 * MIB]] * 3})
    differing = replace(growing, losses={name: [[2.3, 2.2], [2.3, 2.2], [2.3, 2.1]]})
    random = replace(fast, losses={name: [[2.3, 2.2], [2.3, 2.4], [2.3, 2.1]]})
    failing = replace(differing, failures={name: "in head it raises: ValueError"})
    cut_short = replace(fast, cut_short={name: "after 3 pairs it is skipped"})
    slow = replace(cut_short, confirm={name: [Pair(head=0.5, control=0.0)] * 40})

    def judge(evidence, **kwargs):
        return verdict.judge(evidence, margin=MARGIN, **kwargs)[name].verdict

    assert judge(fast) is Verdict.IMPROVEMENT
    assert judge(growing) is Verdict.REGRESSION
    assert judge(differing) is Verdict.INCOMPARABLE
    assert judge(differing, allow_learning_change=True) is Verdict.REGRESSION
    assert judge(random) is Verdict.IMPROVEMENT
    assert judge(failing, allow_learning_change=True) is Verdict.INCOMPARABLE
    assert judge(cut_short) is Verdict.INCONCLUSIVE
    assert judge(slow) is Verdict.REGRESSION


def test_losses_agree_within_rounding_or_name_the_step():
    """The first step whose losses differ is named, counted from 1."""
    differs_at = verdict.first_loss_that_differs

    assert differs_at([2.3, 2.2], [2.3 * (1 + 1e-6), 2.2]) is None
    assert differs_at([2.3, 2.2], [2.3]) == 2
    assert differs_at([math.nan], [math.nan]) is None
    assert differs_at([math.nan], [2.3]) == 1


def test_holm_is_between_bonferroni_and_no_correction():
    """Three P values, from the smallest, are compared with 0.01 over 3, over 2 and over 1."""
    assert pair_tests.holm({"a": 0.003, "b": 0.005, "c": 0.01}) == {"a", "b", "c"}
    assert pair_tests.holm({"a": 0.003, "b": 0.011, "c": 0.001}) == {"a", "c"}
    assert pair_tests.holm({"a": 0.004, "b": 0.004}) == {"a", "b"}
    assert pair_tests.holm({"a": 0.006, "b": 0.0051}) == set()
    assert pair_tests.holm({}) == set()
