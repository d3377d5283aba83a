"""From paired ratios to verdicts: what must hold whatever the numbers."""

import math
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bench.cases import Case
from bench.gate import pair_tests, trial, verdict
from bench.gate.pair_tests import Pair
from bench.gate.verdict import Evidence, Verdict
from tests.strategies import gates

MARGIN = 0.05


def decide(measured, cases, margin=MARGIN):
    """Judge a gate whose pairs come from these series, one after the other."""
    position = -1

    def measure(wanted):
        nonlocal position
        position += 1
        return {case.name: measured[case.name][position] for case in wanted}

    screen, confirm, restless = trial.attempt(measure, cases, margin=margin)
    evidence = Evidence(screen=screen, confirm=confirm, restless=restless)
    return verdict.judge(evidence, margin=margin)


def verdicts(judged):
    """Verdicts alone."""
    return {name: one.verdict for name, one in judged.items()}


@given(gates())
def test_every_case_and_family_gets_exactly_one_verdict(gate):
    """Silence is never ok."""
    cases, measured = gate
    families = {case.family for case in cases}
    several = {family for family in families if sum(c.family == family for c in cases) > 1}

    judged = decide(measured, cases)

    assert set(judged) == {case.name for case in cases} | several
    assert all(isinstance(one.verdict, Verdict) for one in judged.values())


@given(gates(head=st.floats(-3, 0)))
def test_a_head_that_is_never_slower_is_never_a_regression(gate):
    """At most the base in every pair, whatever the control does."""
    cases, measured = gate

    assert Verdict.REGRESSION not in verdicts(decide(measured, cases)).values()


@given(gates())
def test_swapping_sides_swaps_regression_and_improvement(gate):
    """And nothing else."""
    cases, measured = gate
    swapped = {
        name: [Pair(head=-pair.head, control=-pair.control) for pair in pairs]
        for name, pairs in measured.items()
    }
    opposite = {
        Verdict.REGRESSION: Verdict.IMPROVEMENT,
        Verdict.IMPROVEMENT: Verdict.REGRESSION,
    }

    there, back = decide(measured, cases), decide(swapped, cases)

    assert {name: opposite.get(said, said) for name, said in verdicts(there).items()} == verdicts(
        back
    )


turn_seconds = st.floats(1e-6, 10)


@given(st.lists(st.tuples(turn_seconds, turn_seconds), min_size=1), st.floats(0.01, 100))
def test_a_pair_does_not_depend_on_the_unit_of_time(turns, scale):
    """Nor on how fast the machine is."""
    base, head = (list(seconds) for seconds in zip(*turns, strict=True))

    pair = pair_tests.log_ratio(base, head)

    scaled = [[second * scale for second in seconds] for seconds in (base, head)]
    assert pair_tests.log_ratio(*scaled) == pytest.approx(pair, abs=1e-9)
    assert pair_tests.log_ratio(head, base) == pytest.approx(-pair, abs=1e-9)


@pytest.mark.parametrize("hypotheses", range(1, 101))
def test_the_smallest_reachable_p_passes_the_corrected_level(hypotheses):
    """A gate that cannot fail is a defect; here one pair may even say the contrary."""
    pairs = pair_tests.pairs_needed(hypotheses)
    slower = [1.0] * (pairs - 1) + [-1.0]

    assert pair_tests.sign_test(slower, margin=MARGIN) <= pair_tests.LEVEL / hypotheses
    assert pair_tests.contrary_allowed(pairs) >= 1
    assert {f"case {n}" for n in range(hypotheses)} == pair_tests.holm(
        {f"case {n}": pair_tests.sign_test(slower, margin=MARGIN) for n in range(hypotheses)}
    )


@pytest.mark.parametrize("slower", [1, 2, 5, 40])
def test_a_slowdown_of_ten_percent_is_caught(slower):
    """In one case or in many, among cases that did not change."""
    cases = [Case(verb="step", engine="eager", batch_size=size) for size in range(1, 41)]
    guilty = {case.name for case in cases[:slower]}
    measured = {
        case.name: [Pair(head=math.log(1.1) * (case.name in guilty), control=0.0)] * 40
        for case in cases
    }

    found = verdicts(decide(measured, cases))

    assert {case.name for case in cases if found[case.name] is Verdict.REGRESSION} == guilty


def test_a_slowdown_of_every_batch_size_is_caught_where_no_single_one_is():
    """The family's geometric mean is known better than any of its members."""
    cases = [Case(verb="step", engine="eager", batch_size=size) for size in range(1, 9)]
    noise = [0.3, -0.3, 0.1, -0.1]
    measured = {
        case.name: [Pair(head=0.08 + noise[(pair + index) % 4], control=0.0) for pair in range(40)]
        for index, case in enumerate(cases)
    }

    found = verdicts(decide(measured, cases))

    assert found["step[engine=eager]"] is Verdict.REGRESSION
    assert Verdict.REGRESSION not in [found[case.name] for case in cases]


@given(gates())
def test_stopping_early_changes_no_verdict(gate):
    """A test is left only where it could not reject any more."""
    cases, measured = gate
    screen = trial.screen(iterator(measured), cases)
    names = pair_tests.routed(screen, margin=MARGIN)
    assume(names)
    needed = pair_tests.pairs_needed(len(names))
    confirm = trial.confirm(iterator(measured), cases, names, margin=MARGIN)

    everything = pair_tests.with_families(
        {name: pairs[:needed] for name, pairs in measured.items()}, cases
    )
    for sign in (1, -1):
        p_values = {
            name: pair_tests.sign_test([sign * pair.head for pair in pairs], margin=MARGIN)
            for name, pairs in confirm.items()
        }
        in_full = {
            name: pair_tests.sign_test(
                [sign * pair.head for pair in everything[name]], margin=MARGIN
            )
            for name in names
        }

        assert pair_tests.holm(p_values) == pair_tests.holm(in_full)


def iterator(measured):
    """A source that hands out one pair of each case after the other."""
    position = -1

    def measure(wanted):
        nonlocal position
        position += 1
        return {case.name: measured[case.name][position] for case in wanted}

    return measure


def one_case(head, control=0.0):
    """A gate on one case whose pairs are all alike, or a list of pairs."""
    case = Case(verb="step", engine="eager", batch_size=1)
    return {case.name: [Pair(head=head, control=control)] * 40}, [case]


def test_where_identical_code_is_convicted_speed_says_nothing():
    """A restless machine makes everything inconclusive, after one more attempt."""
    (judged,) = decide(*one_case(head=0.5, control=0.2)).values()

    assert judged.verdict is Verdict.INCONCLUSIVE
    assert "restless" in judged.reason


def test_a_machine_that_calms_down_is_believed_the_second_time():
    """The one repeat is declared in advance."""
    measured, cases = one_case(head=0.0)
    (name,) = measured
    restless = verdict.SCREENING_PAIRS + pair_tests.pairs_needed(1)
    measured[name] = [Pair(head=0.0, control=0.2)] * restless + measured[name]

    (judged,) = decide(measured, cases).values()

    assert judged.verdict is Verdict.OK


def test_a_case_too_noisy_to_tell_is_blind_and_not_ok():
    """It says what it would have caught."""
    measured, cases = one_case(head=0.0)
    (name,) = measured
    measured[name] = [
        Pair(head=0.5 * (-1) ** index, control=0.4 * (-1) ** index) for index in range(40)
    ]

    (judged,) = decide(measured, cases).values()

    assert judged.verdict is Verdict.INCONCLUSIVE
    assert "blind" in judged.reason
    assert judged.detectable > verdict.BLIND_SLOWDOWN


MIB = 2**20


@pytest.mark.parametrize(
    ("base", "head", "grown"),
    [
        ([10, 10, 10], [15, 15, 15], True),
        ([10, 10, 10], [15, 15, 11], False),
        ([10, 10, 10], [14, 14, 14], False),
        ([100, 100, 100], [109, 109, 109], False),
        ([100, 100, 100], [111, 111, 111], True),
        ([0, 0, 0], [5, 5, 5], True),
        ([10, 10], [50, 50], False),
        ([15, 15, 15], [10, 10, 10], False),
    ],
)
def test_memory_regresses_by_more_than_a_tenth_and_four_mebibytes_in_each_of_three(
    base, head, grown
):
    """Three of three fresh processes."""
    peaks = [[value * MIB for value in values] for values in (base, head)]

    assert verdict.memory_regressed(*peaks) == grown


def test_memory_learning_and_failures_come_before_speed():
    """A faster head that leaks, forgets or fails does not pass."""
    measured, cases = one_case(head=-0.5)
    (name,) = measured
    fast = Evidence(
        screen=trial.screen(iterator(measured), cases),
        confirm=trial.confirm(iterator(measured), cases, [name], margin=MARGIN),
    )
    leaking = replace(fast, peaks={name: ([10 * MIB] * 3, [50 * MIB] * 3)})
    forgetful = replace(leaking, losses={name: ([2.3, 2.2], [2.3, 2.1])})
    failing = replace(forgetful, failures={name: "raises in head: ValueError"})

    def judged(evidence, **kwargs):
        return verdict.judge(evidence, margin=MARGIN, **kwargs)[name]

    assert judged(fast).verdict is Verdict.IMPROVEMENT
    assert judged(leaking).reason == "peak memory grew from 10.0 to 50.0 MiB"
    assert judged(leaking).verdict is Verdict.REGRESSION
    assert judged(forgetful).verdict is Verdict.INCOMPARABLE
    assert judged(forgetful).reason == "no longer learns the same: the loss of step 2 differs"
    assert judged(forgetful, allow_learning_change=True).verdict is Verdict.REGRESSION
    assert judged(failing, allow_learning_change=True).verdict is Verdict.INCOMPARABLE


@pytest.mark.parametrize(
    ("base", "head", "step"),
    [
        ([2.3, 2.2], [2.3, 2.2], None),
        ([2.3, 2.2], [2.3 * (1 + 1e-6), 2.2], None),
        ([2.3, 2.2], [2.3, 2.21], 2),
        ([2.3, 2.2], [2.3], 2),
        ([math.nan], [math.nan], None),
        ([math.nan], [2.3], 1),
    ],
)
def test_losses_agree_within_rounding_or_name_the_step(base, head, step):
    """The first step that differs is where to look."""
    assert verdict.first_loss_that_differs(base, head) == step


def test_holm_is_between_bonferroni_and_no_correction():
    """Worked out by hand: 0.01 over 3, 2 and 1."""
    assert pair_tests.holm({"a": 0.003, "b": 0.005, "c": 0.01}) == {"a", "b", "c"}
    assert pair_tests.holm({"a": 0.003, "b": 0.011, "c": 0.001}) == {"a", "c"}
    assert pair_tests.holm({"a": 0.004, "b": 0.004}) == {"a", "b"}
    assert pair_tests.holm({"a": 0.006, "b": 0.0051}) == set()
    assert pair_tests.holm({}) == set()
