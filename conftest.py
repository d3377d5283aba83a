"""Registers the suite; what measures is in bench/."""

pytest_plugins = ["bench.suite.plugin"]
