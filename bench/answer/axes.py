"""What a run found beside batch size: feeding, cores and alignment, a sentence each."""

from collections.abc import Iterable
from typing import Any

from bench import cases
from bench.units import seconds


def sentences(benchmarks: Iterable[dict[str, Any]]) -> list[str]:
    """Put the axes of a run, in pytest-benchmark's JSON form, into words."""
    by_verb: dict[str, list[dict[str, Any]]] = {}
    for case in benchmarks:
        verb = case["name"].partition("[")[0].removeprefix("test_")
        by_verb.setdefault(verb, []).append(case)
    return [
        *_loading(by_verb.get("loading", [])),
        *_feeding(by_verb.get("feeding", [])),
        *_threads(by_verb.get("threads", [])),
        *_alignment(by_verb.get("alignment", [])),
        *_compiling(case for cases_of_verb in by_verb.values() for case in cases_of_verb),
    ]


def _rate(case: dict[str, Any]) -> str:
    return f"{case['extra_info']['samples_per_second']:,.0f} samples/s"


def _loading(found: list[dict[str, Any]]) -> list[str]:
    rates = [f"{_rate(case)} with {case['extra_info']['workers']}" for case in found]
    if not found:
        return []
    return [f"DataLoader alone, batches of {cases.AXIS_BATCH_SIZE}: {', '.join(rates)} workers."]


def _feeding(found: list[dict[str, Any]]) -> list[str]:
    rates = [
        f"{_rate(case)} with {info['threads']} computing and {info['workers']} feeding"
        for case in found
        for info in [case["extra_info"]]
    ]
    if not found:
        return []
    return [f"Cores, loader engine: {', '.join(rates)}."]


def _threads(found: list[dict[str, Any]]) -> list[str]:
    lines = []
    for engine in dict.fromkeys(case["extra_info"]["engine"] for case in found):
        rates = [
            f"{_rate(case)} on {case['extra_info']['threads']}"
            for case in found
            if case["extra_info"]["engine"] == engine
        ]
        lines.append(f"Cores, {engine} engine: {', '.join(rates)}.")
    return lines


def _alignment(found: list[dict[str, Any]]) -> list[str]:
    lines = []
    for engine in dict.fromkeys(case["extra_info"]["engine"] for case in found):
        verdicts = [
            f"{info['batch_size']} to {info['beside']} {info['ratio'] - 1:+.1%} ({info['verdict']})"
            for info in (case["extra_info"] for case in found)
            if info["engine"] == engine and "verdict" in info
        ]
        lines.append(
            f"Seconds a sample, {engine} engine, equal meaning within {cases.EQUAL_WITHIN:.0%}: "
            f"{', '.join(verdicts)}."
        )
    return lines


def _compiling(found: Iterable[dict[str, Any]]) -> list[str]:
    total = sum(case["extra_info"].get("compile_seconds", 0.0) for case in found)
    if not total:
        return []
    return [f"Compiling took {seconds(total)}, which is in no time above."]
