import types

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.measure.turns import paired
from bench.suite import turns


class Benchmark:
    """Calls as pytest-benchmark's pedantic does; a round takes two seconds."""

    def __init__(self):
        self.stats = None

    def pedantic(self, ours, setup, rounds):
        for _ in range(rounds):
            setup()
            ours()
        data = [2.0] * rounds
        self.stats = types.SimpleNamespace(stats=types.SimpleNamespace(data=data))


@given(rounds=st.integers(1, 9), names=st.lists(st.sampled_from("abc"), unique=True))
def test_ours_and_each_peer_have_a_turn_in_every_round(rounds, names):
    """A round has one turn of ours and of each peer, and the peers' seconds are kept."""
    order = []
    peers = {name: lambda name=name: order.append(name) for name in names}

    taken = turns.take(
        Benchmark(), lambda: order.append("ours"), peers, rounds=rounds, tell=lambda _: None
    )

    width = len(names) + 1
    in_rounds = [order[first : first + width] for first in range(0, len(order), width)]
    assert len(in_rounds) == rounds
    assert all(sorted(turn) == sorted([*names, "ours"]) for turn in in_rounds)
    assert all(len(seconds) == rounds for seconds in taken["peer_seconds"].values())


def test_ours_has_no_place_of_its_own():
    """In twenty rounds, ours is first, last and in the middle."""
    order = []
    peers = {name: lambda name=name: order.append(name) for name in "ab"}

    turns.take(Benchmark(), lambda: order.append("ours"), peers, rounds=20, tell=lambda _: None)

    assert {index % 3 for index, name in enumerate(order) if name == "ours"} == {0, 1, 2}


def test_a_ratio_covers_the_middle_of_seven_turns():
    """The sign test's 95 % interval of seven turns is from the least to the greatest."""
    ratio = paired([2, 4, 4, 4, 4, 4, 12], [2] * 7, confidence=0.95)

    assert (ratio.ratio, ratio.low, ratio.high) == pytest.approx((2, 1, 6))
