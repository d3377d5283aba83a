"""Builds measured cases and saved runs, in the JSON form that pytest-benchmark gives them."""

import copy

from bench.runs.case import from_json

MACHINE = {
    "node": "here",
    "cpu": {"brand_raw": "An Abacus 9000", "hz_actual_friendly": "2.6 GHz"},
    "python_version": "3.11.7",
    "torch": "2.15.0",
    "threads": 2,
    "physical_memory_bytes": 16_000_000_000,
}
SAMPLES = 60_000  # size of the training set
SIZES = (1, 16, 256)


def case(verb, batch_size, seconds=1.0, *, engine="eager", name="", **info):
    """Return a case as pytest-benchmark saves it; `info` overrides what the suite stores."""
    name = name or f"test_{verb}[engine={engine}-batch_size={batch_size}]"
    samples = SAMPLES if verb == "epoch" else batch_size
    return {
        "name": name,
        "fullname": f"bench/test_{verb}.py::{name}",
        "stats": {"min": 0.9 * seconds, "median": seconds, "mean": 1.1 * seconds},
        "extra_info": {
            "engine": engine,
            "batch_size": batch_size,
            "threads": 2,
            "device": "cpu",
            "learning_rate": 0.1,
            "data": "MNIST",
            "samples_per_second": samples / seconds,
            "peak_memory_bytes": 2_500_000,
            **info,
        },
    }


def training(batch_size, seconds=1.0, *, seed=0, reached=True, **info):
    """Return a training that reached the target, or missed it."""
    return case(
        "convergence",
        batch_size,
        seconds,
        **{
            "seed": seed,
            "steps": round(seconds * 1000),
            "reached": reached,
            "diverged": False,
            "test_score": 0.951 if reached else 0.9,
            "target_score": 0.95,
            "max_epochs": 10,
            **info,
        },
    )


def traced(batch_size, seconds, **info):
    """Return a training with three evaluations on the way."""
    trace = [[seconds * part, round(1000 * part), 1 - 0.1 / (1 + part)] for part in (0.1, 0.5, 1)]
    return training(batch_size, seconds, trace=trace, **info)


def measured(*cases):
    """Return the cases as the type that everything downstream of a run reads."""
    return [from_json(each) for each in cases]


def saved(*cases, when="2026-01-01T00:00:00", **machine):
    """Return a run as pytest-benchmark saves it."""
    machine_info = copy.deepcopy(MACHINE) | machine
    return {"machine_info": machine_info, "datetime": when, "benchmarks": list(cases)}


def epoch(batch_size, **info):
    """Return an epoch whose steps take 100 us, and 10 us per sample."""
    peak = {"peak_memory_bytes": 1_000_000 * batch_size}
    return case("epoch", batch_size, SAMPLES / batch_size * 1e-4 + 0.6, **(peak | info))


def whole_run(*, engine="eager"):
    """Return a run with data for every figure; with a fixed rate, 256 misses the target."""
    return saved(
        *(case("step", size, 1e-4 + 1e-5 * size, engine=engine) for size in SIZES),
        *(epoch(size, engine=engine) for size in SIZES),
        *(traced(size, 3.0 + size / 100, seed=seed, reached=size < 256)
          for size in SIZES for seed in (0, 1)),
        *(traced(size, 1 + 20 / size + seed / 10, seed=seed, lr_rule="tuned")
          for size in SIZES for seed in (0, 1)),
    )  # fmt: skip
