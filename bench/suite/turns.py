"""Times a case in turns with other calls, in an order drawn anew for each round."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from pytest_benchmark.fixture import BenchmarkFixture

from bench.measure.turns import Draw, paired

CONFIDENCE = 0.95  # confidence level of the interval of a ratio


def take(
    benchmark: BenchmarkFixture,
    ours: Callable[[], object],
    others: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    tell: Callable[[str], None],
) -> dict[str, Any]:
    """Time our call and the other calls, and return what to record of the other calls.

    Each round has a random order, in which our call has no fixed place: no call always follows
    the same call.
    """
    seconds: dict[str, list[float]] = {name: [] for name in others}
    order = Draw().rounds([*others, None], rounds)  # None is ours

    def turns_until_ours() -> None:
        for _, name in order:
            if name is None:
                return
            tell(name)
            started = time.perf_counter()
            others[name]()
            seconds[name].append(time.perf_counter() - started)

    benchmark.pedantic(ours, setup=turns_until_ours, rounds=rounds)
    turns_until_ours()
    ratios = {}
    if benchmark.stats:
        for name, spent in seconds.items():
            ratio = paired(spent, benchmark.stats.stats.data, confidence=CONFIDENCE)
            ratios[name] = ratio.ratio, ratio.low, ratio.high
    return {"peer_seconds": seconds, "peer_ratios": ratios}
