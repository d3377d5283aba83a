"""A case that takes turns with others, in an order drawn anew for each round."""

import random
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pytest_benchmark.fixture import BenchmarkFixture

from bench.measure.ratio import paired

CONFIDENCE = 0.95  # of the interval of a ratio


def take(
    benchmark: BenchmarkFixture,
    ours: Callable[[], object],
    others: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    tell: Callable[[str], None],
) -> dict[str, Any]:
    """Time ours and the others, and return what to record of the others.

    Some of a round's others run before ours and some after it, so that none always follows the
    same one, and ours has no place of its own.
    """
    seconds: dict[str, list[float]] = {name: [] for name in others}
    order = _order(list(others), rounds)

    def turns_until_ours() -> None:
        for name in order:
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
            found = paired(spent, benchmark.stats.stats.data, confidence=CONFIDENCE)
            ratios[name] = found.ratio, found.low, found.high
    return {"peer_seconds": seconds, "peer_ratios": ratios}


def _order(others: list[str], rounds: int) -> Iterator[str | None]:
    """Yield whose turn it is; None is ours."""
    draw = random.Random(0)  # noqa: S311 - an order keeps no secret
    for _ in range(rounds):
        yield from draw.sample([*others, None], len(others) + 1)
