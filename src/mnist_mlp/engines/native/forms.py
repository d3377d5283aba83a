"""The forms of a step that this machine has, and which of them is the fastest."""

import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cache

from torch import Tensor

from mnist_mlp import device
from mnist_mlp.engines.native import closed_form, products
from mnist_mlp.engines.native.closed_form import ClosedForm, NewMiddle
from mnist_mlp.engines.native.steps import Form
from mnist_mlp.model import HIDDEN

SMALLEST_PART = 16  # hidden units of a thread: a cache line of each row
ADVANTAGE = 1.05  # a later form must be so much faster, so that two trials choose the same
ROUNDS = 2
TURNS_IN_A_ROW = 3
# A form is given up that takes so many times the fastest's time, by the shortest of turns in a row,
HOPELESS_IN_SHORT = 1.7  # of short ones, where what a call costs weighs more,
HOPELESS = 1.3
NO_SECOND_TURN = 3  # or by its first turn, which may be slow since it loads what is cold


class FormWarning(UserWarning):
    """A form of a step is missing here; the others do."""


@cache
def available(threads: int) -> tuple[Form, ...]:
    """Return the forms for at most so many threads, the simplest first."""
    forms: list[Form] = []
    middle: NewMiddle = closed_form.middle
    try:
        from mnist_mlp.engines.native import loop  # noqa: PLC0415 - Numba may be missing
    except (ImportError, RuntimeError) as error:  # not for this Python, or no place for its cache
        warnings.warn(
            f"the native engine goes without its loop over nonzero pixels, and is slower for small "
            f"batches, since Numba does not work here ({error}): install a Numba for this Python",
            FormWarning,
            stacklevel=2,
        )
    else:
        middle = loop.middle
        parts = (2**power for power in range((HIDDEN // SMALLEST_PART).bit_length()))
        forms += [loop.Loop(threads=count) for count in parts if count <= threads]
    forms += [
        ClosedForm(products=product, middle=middle, threads=count)
        for product in products.available()
        for count in sorted({1, threads})
    ]
    return tuple(forms)


def simplest() -> Form:
    """Return the first form, the same in every process, where a trial might choose another."""
    first, *_ = available(1)
    return first


def density(images: Tensor) -> float:
    """Share of pixels that are not 0 in images, (N, 784)."""
    with device.threads(1):  # torch's others would spin, in the way of the first steps
        return float((images != 0).float().mean())


def fastest(
    forms: Sequence[Form], turn: Callable[[Form], object], short_turn: Callable[[Form], object]
) -> Form:
    """Let the forms take turns, and return the one whose shortest was the shortest.

    A form takes several turns in a row: torch's threads spin for milliseconds after a product, and
    would slow down the form that comes after it. Where a short turn shows a form to be hopeless,
    it takes no other.
    """
    in_the_race = _hopeful(_shortest(forms, short_turn), HOPELESS_IN_SHORT)
    shortest = dict.fromkeys(in_the_race, math.inf)
    for _ in range(ROUNDS):
        for form, seconds in _shortest(in_the_race, turn).items():
            shortest[form] = min(shortest[form], seconds)
        in_the_race = _hopeful({form: shortest[form] for form in in_the_race}, HOPELESS)
    chosen, *others = shortest
    for form in others:
        if shortest[form] * ADVANTAGE < shortest[chosen]:
            chosen = form
    return chosen


def _shortest(forms: Sequence[Form], turn: Callable[[Form], object]) -> dict[Form, float]:
    """Return the seconds of each form's shortest of some turns in a row.

    A form that is much slower than the fastest so far takes one turn.
    """
    shortest = dict.fromkeys(forms, math.inf)
    for form in forms:
        for _ in range(TURNS_IN_A_ROW):
            started = time.perf_counter()
            turn(form)
            shortest[form] = min(shortest[form], time.perf_counter() - started)
            if shortest[form] > NO_SECOND_TURN * min(shortest.values()):
                break
    return shortest


def _hopeful(shortest: Mapping[Form, float], hopeless: float) -> list[Form]:
    """Return the forms that do not take so many times the fastest's time."""
    return [form for form in shortest if shortest[form] <= hopeless * min(shortest.values())]
