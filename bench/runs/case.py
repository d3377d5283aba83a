"""A measured case as a type, read from the JSON form that pytest-benchmark gives it."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

LONGEST_SECONDS = 1e9  # thirty years
SHORTEST_SECONDS = 1e-10
LARGEST_COUNT = 2**53  # beyond it a float no longer holds every whole number

# What every case of a verb of this suite stores.
_TIMED = ("batch_size", "samples_per_second", "peak_memory_bytes")
REQUIRED: Mapping[str, Sequence[str]] = {
    "step": _TIMED,
    "epoch": _TIMED,
    "convergence": (
        *("batch_size", "learning_rate", "seed", "steps", "reached", "diverged"),
        *("test_accuracy", "target_accuracy", "max_epochs"),
    ),
}


class CaseError(Exception):
    """A saved case that cannot be read; names what is wrong."""


@dataclass(frozen=True, kw_only=True)
class MeasuredCase:
    """One case of a run: its setting, its seconds, and what it found beside them.

    Cases of other suites have a name and seconds, and the defaults elsewhere.
    """

    name: str  # "test_epoch[engine=eager-batch_size=64]"
    full_name: str  # with its file; baselines are matched by it
    seconds: float  # median of the timed calls
    min_seconds: float
    mean_seconds: float

    engine: str = ""
    batch_size: int = 0
    precision: str = "float32"
    threads: int = 0
    device: str = "cpu"
    data: str = ""
    learning_rate: float = 0.0
    lr_rule: str = "fixed"  # runs saved before there were others do not name it
    seed: int = 0

    samples_per_second: float = 0.0
    peak_memory_bytes: int = 0
    peak_cuda_bytes: int | None = None
    floor_fraction: float | None = None
    compile_seconds: float = 0.0

    steps: int = 0  # of a training to the target, as the rest of this block
    reached: bool = True
    diverged: bool = False
    test_accuracy: float = 0.0
    target_accuracy: float | None = None
    max_epochs: int | None = None
    trace: Sequence[tuple[float, int, float]] = ()  # (seconds, steps, test accuracy)

    workers: int = 0
    beside: int | None = None  # the batch size that alignment held this one against
    ratio: float | None = None
    verdict: str | None = None
    peer_seconds: Mapping[str, Sequence[float]] = field(default_factory=dict)

    @property
    def verb(self) -> str:
        """What was timed: "step", "epoch", "convergence"."""
        return self.name.partition("[")[0].removeprefix("test_")

    @property
    def samples(self) -> int:
        """How many samples one timed call used."""
        return round(self.samples_per_second * self.seconds)


def from_json(saved: Any) -> MeasuredCase:
    """Read a case in pytest-benchmark's JSON form, live or saved.

    Raises:
        CaseError: a field is missing or is not what this suite stores.

    """
    info = _part(saved, "extra_info") if isinstance(saved, dict) and "extra_info" in saved else {}
    name, stats = _text(_field(saved, "name")), _part(saved, "stats")
    seconds = _read(name, "median", stats, _seconds)
    values = {
        key: _read(name, key, info, read) for key, read in _READERS.items() if _is_given(info, key)
    }
    case = MeasuredCase(
        name=name,
        full_name=_text(saved.get("fullname", name)),
        seconds=seconds,
        min_seconds=_read(name, "min", stats, _seconds) if "min" in stats else seconds,
        mean_seconds=_read(name, "mean", stats, _seconds) if "mean" in stats else seconds,
        **values,
    )
    if case.engine:  # so this suite measured it
        for key in REQUIRED.get(case.verb, ()):
            if key not in values:
                raise CaseError(f"{name} has no {key}")
    return case


def _is_given(info: Mapping[str, Any], key: str) -> bool:
    return info.get(key) is not None


def _field(saved: Any, key: str) -> Any:
    if not isinstance(saved, dict) or key not in saved:
        raise CaseError(f"a case has no {key}")
    return saved[key]


def _part(saved: Any, key: str) -> dict[str, Any]:
    part = _field(saved, key)
    if not isinstance(part, dict):
        raise CaseError(f"the {key} of a case is {_shown(part)}")
    return part


def _read(name: str, key: str, values: Mapping[str, Any], read: Callable[[Any], Any]) -> Any:
    if key not in values:
        raise CaseError(f"{name} has no {key}")
    try:
        return read(values[key])
    except (TypeError, ValueError, OverflowError, CaseError) as error:
        raise CaseError(f"the {key} of {name} is {_shown(values[key])}") from error


def _shown(value: object) -> str:
    """The value, short enough for a sentence and printable."""
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004 - a third of a line


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise CaseError(f"the name of a case is {_shown(value)}")
    if not value.isprintable():  # half a surrogate pair cannot be written to a file
        raise CaseError(f"a name, {_shown(value)}, cannot be printed")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    if not math.isfinite(value):
        raise ValueError
    return float(value)


def _between(least: float, most: float) -> Callable[[Any], float]:
    def read(value: Any) -> float:
        if not least <= _number(value) <= most:
            raise ValueError
        return float(value)

    return read


def _whole(least: int, most: int = LARGEST_COUNT) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if not least <= _number(value) <= most or value != int(value):
            raise ValueError
        return int(value)

    return read


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


_seconds = _between(SHORTEST_SECONDS, LONGEST_SECONDS)


def _trace(value: Any) -> tuple[tuple[float, int, float], ...]:
    # A diverged network's accuracy is a number all the same; its losses are not stored.
    moment, steps, accuracy = _between(0, LONGEST_SECONDS), _whole(0), _between(0, 1)
    return tuple((moment(one), steps(other), accuracy(third)) for one, other, third in value)


def _seconds_by_name(value: Any) -> dict[str, list[float]]:
    return {_text(name): [_seconds(one) for one in seconds] for name, seconds in value.items()}


_READERS: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("engine", "precision", "device", "data", "lr_rule", "verdict"), _text),
    **dict.fromkeys(("batch_size", "beside"), _whole(1)),
    **dict.fromkeys(
        ("threads", "workers", "steps", "max_epochs", "peak_memory_bytes", "peak_cuda_bytes"),
        _whole(0),
    ),
    "seed": _whole(0, 2**63),
    **dict.fromkeys(("reached", "diverged"), _truth),
    **dict.fromkeys(("test_accuracy", "target_accuracy"), _between(0, 1)),
    **dict.fromkeys(("learning_rate", "floor_fraction", "ratio"), _between(0, math.inf)),
    "samples_per_second": _between(1 / LONGEST_SECONDS, 1 / SHORTEST_SECONDS),
    "compile_seconds": _between(0, LONGEST_SECONDS),
    "trace": _trace,
    "peer_seconds": _seconds_by_name,
}
