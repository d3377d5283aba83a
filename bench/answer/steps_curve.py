"""Steps to target between batch sizes without a law: a falling curve through the sizes' medians.

Medians that rise with batch size are pooled (isotonic regression: Barlow et al. 1972), and joined
by a monotone cubic in the logarithms (Fritsch and Carlson 1980). It is for targets at which the law
of steps bends away, and for few samples.
"""

from collections.abc import Callable, Mapping

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.optimize import isotonic_regression


def fit(medians: Mapping[int, float]) -> Callable[[float], float]:
    """Return steps at any batch size; beyond the ends the end's slope goes on.

    Args:
        medians: batch size -> median steps, of two sizes or more.

    """
    log_sizes = np.log(sorted(medians))
    log_steps = np.log([medians[size] for size in sorted(medians)])
    falling = isotonic_regression(log_steps, increasing=False).x
    between = PchipInterpolator(log_sizes, falling)
    slopes = np.diff(falling) / np.diff(log_sizes)

    def steps(batch_size: float) -> float:
        log_size = np.log(batch_size)
        inside = np.clip(log_size, log_sizes[0], log_sizes[-1])
        slope = slopes[0] if log_size < inside else slopes[-1]
        return float(np.exp(between(inside) + slope * (log_size - inside)))

    return steps


def left_out(medians: Mapping[int, float]) -> dict[int, float]:
    """Return each size's error, predicted / its own median - 1, by the curve of the others."""
    return {
        size: fit({other: steps for other, steps in medians.items() if other != size})(size) / own
        - 1
        for size, own in medians.items()
    }
