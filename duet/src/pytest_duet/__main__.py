"""python -m pytest_duet: the same as the command pytest-duet."""

import sys

from pytest_duet.command import run

if __name__ == "__main__":
    sys.exit(run())
