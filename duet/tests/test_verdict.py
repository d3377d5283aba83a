"""From paired ratios to verdicts: what must hold whatever the numbers."""

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

# Mostly near the margin, where verdicts change; now and then far out, as noise is.
log_ratios = st.one_of(st.floats(-0.15, 0.15), st.floats(-3, 3))
MOST_PAIRS = 60  # two attempts at both stages take fewer


@st.composite
def gates(draw, head=log_ratios):
    """Some cases with their families, and a long series of pairs for each."""
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
    """Judge a gate whose pairs come from these series, one after the other."""
    return verdict.judge(evidence_of(measured, families), margin=MARGIN)


def source(measured):
    """Hand out one pair of each case that is wanted, the next at every call."""
    position = itertools.count()

    def measure(names, **_):
        now = next(position)
        return {name: measured[name][now % len(measured[name])] for name in names}

    return measure


def verdicts(judged):
    """Verdicts alone."""
    return {name: judgement.verdict for name, judgement in judged.items()}


@given(gates())
def test_every_case_and_family_gets_exactly_one_verdict(gate):
    """Silence is never ok, nor is what could be slower by twice the margin."""
    families, measured = gate
    sizes = Counter(families.values())

    judgements = decide(measured, families)

    assert set(judgements) == set(families) | {family for family in sizes if sizes[family] > 1}
    for judgement in judgements.values():
        assert judgement.verdict in Verdict
        assert judgement.verdict is not Verdict.OK or judgement.estimate.high < 1 + 2 * MARGIN


@given(gates(head=st.floats(-3, 0)))
def test_a_head_that_is_never_slower_is_never_a_regression(gate):
    """At most the base in every pair, whatever the control does."""
    families, measured = gate

    assert Verdict.REGRESSION not in verdicts(decide(measured, families)).values()


def evidence_of(measured, families):
    """What a gate measures whose pairs come from these series."""
    measure = source(measured)
    return stages.run(lambda: nullcontext(measure), families, margin=MARGIN, **ANY_TIME)


@given(gates())
def test_the_same_evidence_with_sides_swapped_swaps_regression_and_improvement(gate):
    """Neither is easier to reach."""
    families, measured = gate
    there = evidence_of(measured, families)
    back = replace(there, screen=swapped(there.screen), confirm=swapped(there.confirm))

    before, after = (verdicts(verdict.judge(seen, margin=MARGIN)) for seen in (there, back))

    for ours, theirs in ((before, after), (after, before)):
        regressed = {name for name in ours if ours[name] is Verdict.REGRESSION}
        assert regressed == {name for name in theirs if theirs[name] is Verdict.IMPROVEMENT}


def swapped(pairs):
    """The pairs of a gate whose head is the base."""
    return {
        name: [Pair(head=-pair.head, control=-pair.control) for pair in seen]
        for name, seen in pairs.items()
    }


def test_a_pair_of_identical_code_leans_to_neither_side():
    """Though the noise of a turn is skewed: now and then one takes much longer."""
    rng = np.random.default_rng(0)

    pairs = [pair_tests.pair_of(np.exp(rng.exponential(0.1, (3, 50)))) for _ in range(2_000)]

    for ratios in ([pair.head for pair in pairs], [pair.control for pair in pairs]):
        assert abs(np.mean(ratios)) < 4 * np.std(ratios) / math.sqrt(len(ratios))


@pytest.mark.parametrize("hypotheses", range(1, 101))
def test_the_smallest_reachable_p_passes_the_corrected_level(hypotheses):
    """A gate that cannot fail is a defect; here one pair may even say the contrary."""
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
    """In one case or in many, among cases that did not change."""
    families = {f"step[{index}]": "step" for index in range(40)}
    slowed = set(list(families)[:slower])
    measured = {
        name: [Pair(head=math.log(1.1) * (name in slowed), control=0.0)] for name in families
    }

    found = verdicts(decide(measured, families))

    assert {name for name in families if found[name] is Verdict.REGRESSION} == slowed


def test_a_slowdown_of_every_case_is_caught_where_no_single_one_is():
    """The family's geometric mean is known better than any of its members."""
    families = {f"step[{index}]": "step" for index in range(8)}
    noise = [0.3, -0.3, 0.1, -0.1]
    measured = {
        name: [Pair(head=0.08 + noise[(pair + index) % 4], control=0.0) for pair in range(40)]
        for index, name in enumerate(families)
    }

    found = verdicts(decide(measured, families))

    assert found["step"] is Verdict.REGRESSION
    assert Verdict.REGRESSION not in [found[name] for name in families]


@given(gates())
def test_stopping_early_changes_no_verdict(gate):
    """A test is left only where it could not reject any more."""
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
        found, full = (
            pair_tests.sign_tests(pairs, lambda pair: sign * pair.head, margin=MARGIN)  # noqa: B023
            for pairs in (confirmed, {name: in_full[name][:needed] for name in left_open})
        )

        assert pair_tests.holm(found) == pair_tests.holm(full)


def judged(*pairs):
    """The judgement of a gate on one case that has these pairs, again and again."""
    return decide({"step[1]": pairs}, {"step[1]": "step"})["step[1]"]


def test_where_identical_code_differs_speed_is_not_judged():
    """A noisy machine makes everything inconclusive, unless it is calm at the one repeat."""
    noisy, calm = Pair(head=0.5, control=0.2), Pair(head=0.0, control=0.0)
    first_attempt = verdict.SCREENING_PAIRS + pair_tests.pairs_needed(1)

    still_noisy = judged(noisy)
    calmed_down = judged(*[noisy] * first_attempt, *[calm] * 40)

    assert still_noisy.verdict is Verdict.INCONCLUSIVE
    assert still_noisy.reason == "noisy machine: two copies of the base differ"
    assert calmed_down.verdict is Verdict.OK


def test_what_is_open_when_the_time_is_over_is_not_judged(monkeypatch):
    """A screen of fewer cases leaves time to confirm, and a case that needs more has no verdict."""
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

    seen = stages.run(
        lambda: nullcontext(measure),
        dict(zip(names, names, strict=True)),
        margin=MARGIN,
        until=20,
        tell=lambda _: None,
    )

    assert list(seen.screen) == names[:4]
    assert seen.not_judged == {"slow": "the minutes were over"}
    assert verdict.judge(seen, margin=MARGIN)["slow"].verdict is Verdict.NOT_JUDGED


def test_a_case_too_noisy_to_tell_is_inconclusive_after_the_most_pairs():
    """It names the slowdown that noise could hide; that may be less than twice the margin."""
    noise = judged(Pair(head=0.5, control=0.4), Pair(head=-0.5, control=-0.4))
    blurred = judged(Pair(head=0.18, control=0.0), Pair(head=0.02, control=0.0))

    assert noise.verdict is blurred.verdict is Verdict.INCONCLUSIVE
    assert noise.pairs == verdict.MOST_PAIRS
    assert noise.reason == f"noise could hide a slowdown of {noise.estimate.high - 1:.0%}"


@pytest.mark.parametrize("pairs", [3, 11])
def test_intervals_hold_the_ratio_as_often_as_they_say(pairs):
    """Of processes that are independent, with a ratio that is known: 95 %."""
    rng = np.random.default_rng(1)
    held, trials = 0, 2_000
    for _ in range(trials):
        base, control, head = rng.normal(0, 0.01, (3, pairs))
        seen = [
            Pair(head=0.02 + h - (b + c) / 2, control=c - b)
            for b, c, h in zip(base, control, head, strict=True)
        ]
        found = pair_tests.estimate(seen, [], margin=MARGIN, hypotheses=1)
        held += found.low <= math.exp(0.02) <= found.high

    assert 0.935 < held / trials < 0.965


MIB = 2**20


def test_memory_regresses_by_a_tenth_and_four_mebibytes_in_three_pairs():
    """In each of them, and beyond both processes of the base."""

    def has_grown(base, *heads):
        peaks = [[base * MIB, base * MIB // 2, head * MIB] for head in heads]
        return bool(verdict.memory_growth(peaks))

    assert [has_grown(0, 5, 5, 5), has_grown(10, 15, 15, 15)] == [True, True]
    assert [has_grown(10, 15, 15, 11), has_grown(10, 50, 50)] == [False, False]
    assert [has_grown(100, 109, 109, 109), has_grown(100, 111, 111, 111)] == [False, True]


def test_what_is_not_speed_comes_before_it():
    """A faster head that leaks, forgets, fails or is cut short does not pass."""
    name = "step[1]"
    fast = Evidence(
        screen={name: [Pair(head=-0.5, control=0.0)] * 3},
        confirm={name: [Pair(head=-0.5, control=0.0)] * 40},
    )
    leaking = replace(fast, peak_bytes={name: [[10 * MIB, 9 * MIB, 50 * MIB]] * 3})
    forgetful = replace(leaking, losses={name: [[2.3, 2.2], [2.3, 2.2], [2.3, 2.1]]})
    random = replace(fast, losses={name: [[2.3, 2.2], [2.3, 2.4], [2.3, 2.1]]})
    failing = replace(forgetful, failures={name: "in head it raises: ValueError"})
    cut_short = replace(fast, cut_short={name: "after 3 pairs it is skipped"})
    slow = replace(cut_short, confirm={name: [Pair(head=0.5, control=0.0)] * 40})

    def judge(evidence, **kwargs):
        return verdict.judge(evidence, margin=MARGIN, **kwargs)[name].verdict

    assert judge(fast) is Verdict.IMPROVEMENT
    assert judge(leaking) is Verdict.REGRESSION
    assert judge(forgetful) is Verdict.INCOMPARABLE
    assert judge(forgetful, allow_learning_change=True) is Verdict.REGRESSION
    assert judge(random) is Verdict.IMPROVEMENT
    assert judge(failing, allow_learning_change=True) is Verdict.INCOMPARABLE
    assert judge(cut_short) is Verdict.INCONCLUSIVE
    assert judge(slow) is Verdict.REGRESSION


def test_losses_agree_within_rounding_or_name_the_step():
    """The first step that differs is where to look."""
    differs_at = verdict.first_loss_that_differs

    assert differs_at([2.3, 2.2], [2.3 * (1 + 1e-6), 2.2]) is None
    assert differs_at([2.3, 2.2], [2.3]) == 2
    assert differs_at([math.nan], [math.nan]) is None
    assert differs_at([math.nan], [2.3]) == 1


def test_holm_is_between_bonferroni_and_no_correction():
    """Worked out by hand: 0.01 over 3, 2 and 1."""
    assert pair_tests.holm({"a": 0.003, "b": 0.005, "c": 0.01}) == {"a", "b", "c"}
    assert pair_tests.holm({"a": 0.003, "b": 0.011, "c": 0.001}) == {"a", "c"}
    assert pair_tests.holm({"a": 0.004, "b": 0.004}) == {"a", "b"}
    assert pair_tests.holm({"a": 0.006, "b": 0.0051}) == set()
    assert pair_tests.holm({}) == set()
