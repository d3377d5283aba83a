"""What a record of audited gates says."""

RULES = ("min", "mean")  # of pytest-benchmark's --benchmark-compare-fail


def as_text(record):
    return f"{len(record)} gates"
