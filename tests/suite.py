"""The suite in this process, since a fresh one imports torch for seconds."""

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
    """What a run printed, on both streams, and its exit code."""

    code: int
    output: str


def run(*words: str) -> Ended:
    """Run `pytest --benchmark-only` with these words; paths start at the root."""
    output = io.StringIO()
    plugins = "-p", "no:cacheprovider", "-p", "no:unraisableexception"
    own = "--benchmark-only", *plugins, "--color=no", "--capture=sys"
    words = tuple(word.replace("bench/", f"{ROOT}/bench/") for word in words)
    gc.freeze()  # a run collects garbage often, which this process has much to search for
    with (
        redirect_stdout(output),
        redirect_stderr(output),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr("pytest_benchmark.plugin.get_cpu_info", dict)  # which takes a second
        patch.setattr(forecast, "REPEATED_SECONDS", 0)
        try:
            code = int(pytest.main([*own, f"--rootdir={ROOT}", f"-c{ROOT}/pyproject.toml", *words]))
        except PerformanceRegression as error:  # pytest-benchmark lets it end the process
            output.write(f"{error}\n")
            code = 1
    return Ended(code=code, output=output.getvalue())
