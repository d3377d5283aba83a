"""A measured case as a type, read from the JSON form that pytest-benchmark gives it."""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import ConfigDict, Field, PositiveInt, StringConstraints, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from mnist_mlp.errors import UserError

Seconds = Annotated[float, Field(ge=1e-10, le=1e9)]  # a processor cycle to thirty years
Rate = Annotated[float, Field(gt=0, le=1e10)]
Score = Annotated[float, Field(ge=-1e9, le=1e9)]
Count = Annotated[int, Field(ge=0, lt=2**53)]  # a float holds every smaller whole number
Text = Annotated[str, StringConstraints(pattern=r"^[^\p{C}]*$")]  # no control characters

ACCURACY = "test accuracy"  # name of a score that is a share of samples
# Field in older saved runs -> its name now.
FORMER = {"test_accuracy": "test_score", "target_accuracy": "target_score"}
# Verb -> fields that each of this suite's cases stores.
_TIMED = ("batch_size", "samples_per_second", "peak_memory_bytes")
REQUIRED: Mapping[str, Sequence[str]] = {
    "step": _TIMED,
    "epoch": _TIMED,
    "convergence": (
        *("batch_size", "learning_rate", "seed", "steps", "reached", "diverged"),
        *("test_score", "target_score", "max_epochs"),
    ),
}


@dataclass(frozen=True, kw_only=True, config=ConfigDict(strict=True, allow_inf_nan=False))
class MeasuredCase:
    """One case of a run: its setting, its seconds, and its other measurements.

    A case of another suite has a name and seconds, and defaults in all other fields.
    """

    name: Text  # "test_epoch[engine=eager-batch_size=64]"
    full_name: Text  # name and file; baselines are matched by it
    seconds: Seconds  # median of the timed calls
    rounds: Count = 1  # timed calls
    quartile_seconds: tuple[Seconds, Seconds] | None = None  # lower and upper, of the timed calls

    engine: Text = ""
    batch_size: PositiveInt = 1
    threads: Count = 0
    device: Text = "cpu"
    data: Text = ""
    form: Text | None = None  # form of a step that the native engine chose
    form_threads: Count | None = None
    learning_rate: float = 0.0
    lr_rule: Text = "fixed"  # older saved runs had no other rule, and no field
    score_name: Text = ACCURACY
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0

    samples_per_second: Rate = 1.0
    peak_memory_bytes: Count = 0
    peak_cuda_bytes: Count | None = None
    floor_fraction: float | None = None
    compile_seconds: float = 0.0

    steps: Count = 0  # this block describes a training to the target
    epochs: Annotated[float, Field(ge=0, le=1e9)] | None = None
    reached: bool = True
    diverged: bool = False
    test_score: Score = 0.0
    target_score: Score | None = None
    max_epochs: Count | None = None
    seeds_left_out: Count = 0  # number of seeds: this seed missed the target by far
    trace: Sequence[tuple[float, Count, Score]] = ()  # (seconds, steps, score on the test set)

    disturbed: Text | None = None  # the cause; empty: undisturbed; None: not watched

    workers: Count = 0
    beside: Count | None = None  # batch size with which alignment compares this case
    ratio: float | None = None
    verdict: Text | None = None
    peer_seconds: Mapping[Text, Sequence[Seconds]] = Field(default_factory=dict)
    # Peer -> how many times as long as ours it took: median over rounds, lower and upper bound.
    peer_ratios: Mapping[Text, tuple[Rate, Rate, Rate]] = Field(default_factory=dict)

    @property
    def verb(self) -> str:
        """What was timed, as `verb_of` names it."""
        return verb_of(self.name)

    @property
    def samples(self) -> int:
        """How many samples one timed call used."""
        return round(self.samples_per_second * self.seconds)


_READER = TypeAdapter(MeasuredCase)


def verb_of(name: str) -> str:
    """Return what a case times, from its name: "step", "epoch" or "convergence", for instance."""
    return name.partition("[")[0].removeprefix("test_")


def from_json(saved: Any) -> MeasuredCase:
    """Read a case in pytest-benchmark's JSON form, live or saved."""
    match saved:
        case {"name": name, "stats": {"median": seconds, **stats}, "extra_info": {**info}}:
            fields = {FORMER.get(str(key), key): info[key] for key in info if info[key] is not None}
        case _:
            raise UserError("a case has no name, no stats with a median or no extra_info")
    fields |= {"name": name, "full_name": saved.get("fullname", name)}
    fields |= {"seconds": seconds, "rounds": stats.get("rounds", 1)}
    if {"q1", "q3"} <= stats.keys():
        fields["quartile_seconds"] = (stats["q1"], stats["q3"])
    try:
        # Validated as JSON, in which a list may stand for a tuple.
        measured = _READER.validate_json(json.dumps(fields))
    except ValidationError as error:
        fault = error.errors()[0]
        where = " ".join(map(str, fault["loc"])) or "text"
        value = ascii(fault["input"])[:60]
        raise UserError(f"{name!a} has {where} {value}: {fault['msg'].lower()}") from error
    if measured.engine:  # this suite measured the case
        for key in REQUIRED.get(measured.verb, ()):
            if key not in fields:
                raise UserError(f"{name} has no {key}")
    return measured
