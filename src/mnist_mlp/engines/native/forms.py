"""The forms of a step that this machine has, and the choice of the fastest form."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache

from torch import Tensor

from mnist_mlp import device
from mnist_mlp.engines.engine import UnavailableError
from mnist_mlp.engines.native import products
from mnist_mlp.engines.native.steps import Form
from mnist_mlp.model import HIDDEN

ADVANTAGE = 1.05  # a later form must be this much faster, so that two trials choose the same
MOST_ROUNDS = 6  # upper limit; an undisturbed trial ends after 2 rounds
TURNS_IN_A_ROW = 3
HOPELESS = 1.3  # a form that takes this many times the shortest time gets no further round
HOPELESS_AT_ONCE = 3  # the same for turns within a round; larger, since a form's first turn is cold


@cache
def available(threads: int) -> tuple[Form, ...]:
    """Return the forms for at most `threads` threads, the simplest first."""
    try:
        from mnist_mlp.engines.native import closed_form, loop, tiles  # noqa: PLC0415 - need Numba
    except (ImportError, RuntimeError) as error:  # Numba is missing, or cannot keep its cache
        raise UnavailableError(
            f"the native engine needs Numba, which does not work here ({error}): install a Numba "
            "for this Python, or use another engine"
        ) from error
    powers = range((HIDDEN // tiles.TILE).bit_length())  # each thread has at least one tile
    return (
        *(loop.Loop(threads=count) for count in (2**each for each in powers) if count <= threads),
        *(
            closed_form.ClosedForm(products=product, threads=count)
            for product in products.available()
            for count in sorted({1, threads})
        ),
    )


def simplest() -> Form:
    """Return the first form, the same in every process, where a trial might choose another."""
    first, *_ = available(1)
    return first


def density(images: Tensor) -> float:
    """Return the share of pixels that are not 0 in images, (N, 784)."""
    with device.threads(1):  # more threads would spin on, and slow the first steps
        return float((images != 0).float().mean())


def fastest(forms: Sequence[Form], turn: Callable[[Form], object]) -> Form:
    """Let the forms take turns, and return the one whose shortest turn was the shortest.

    Rounds end when two in a row have the same winner: a busy neighbour slows some turns. A form
    takes several turns in a row: torch's threads spin for milliseconds after a product, and would
    slow down the form that comes after it.
    """
    shortest = dict.fromkeys(forms, math.inf)
    winner = None
    for _ in range(MOST_ROUNDS):
        hopeless = HOPELESS * min(shortest.values())
        in_round: dict[Form, float] = {}
        for form in [form for form in forms if shortest[form] <= hopeless]:
            in_round[form] = math.inf
            for _ in range(TURNS_IN_A_ROW):
                started = time.perf_counter()
                turn(form)
                in_round[form] = min(in_round[form], time.perf_counter() - started)
                if in_round[form] > HOPELESS_AT_ONCE * min(in_round.values()):
                    break
            shortest[form] = min(shortest[form], in_round[form])
        if _best(in_round) == winner:
            break
        winner = _best(in_round)
    return _best(shortest)


def _best(seconds: Mapping[Form, float]) -> Form:
    """Return the fastest form; a later one must be clearly faster, so that noise decides less."""
    chosen, *others = seconds
    for form in others:
        if seconds[form] * ADVANTAGE < seconds[chosen]:
            chosen = form
    return chosen
