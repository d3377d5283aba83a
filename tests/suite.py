"""Runs the suite in this process: a fresh process takes seconds to import torch."""

import gc
import io
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest
from pytest_benchmark.session import PerformanceRegression

from bench.suite import forecast

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A run's exit code, and what it printed on both streams."""

    code: int
    output: str


def arguments(*words: str) -> list[str]:
    """Return pytest's arguments for the suite from any folder; `bench/` is the repository's."""
    own = "--benchmark-only", "-p", "no:cacheprovider", f"--rootdir={ROOT}"
    words = tuple(word.replace("bench/", f"{ROOT}/bench/") for word in words)
    return [*own, f"-c{ROOT}/pyproject.toml", *words]


def run(*words: str) -> Ended:
    """Run `pytest --benchmark-only` with these arguments."""
    output = io.StringIO()
    own = "-p", "no:unraisableexception", "--color=no", "--capture=sys"
    gc.freeze()  # a run collects garbage often, and this process holds many objects
    with (
        redirect_stdout(output),
        redirect_stderr(output),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr("pytest_benchmark.plugin.get_cpu_info", dict)  # the real one is slow
        patch.setattr(forecast, "REPEATED_SECONDS", 0)
        try:
            code = int(pytest.main([*own, *arguments(*words)]))
        except PerformanceRegression as error:  # pytest-benchmark raises it out of pytest.main
            output.write(f"{error}\n")
            code = 1
    return Ended(code=code, output=output.getvalue())
