"""The benchmark: pytest-benchmark cases, measuring instruments, and commands."""
