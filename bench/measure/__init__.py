"""Instruments for what pytest-benchmark does not measure."""
