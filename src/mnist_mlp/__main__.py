"""python -m mnist_mlp: train, and print what the question's author printed."""

import sys

from mnist_mlp import interrupts


def main() -> int:
    """Run the command line; return the exit code."""
    from mnist_mlp import command  # noqa: PLC0415 - torch takes seconds

    return command.main()


if __name__ == "__main__":
    sys.exit(interrupts.run(main))
