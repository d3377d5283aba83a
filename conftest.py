"""Registers the benchmark suite of bench/ with pytest."""

pytest_plugins = ["bench.suite.plugin"]
