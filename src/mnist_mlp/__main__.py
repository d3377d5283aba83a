"""python -m mnist_mlp: train, and print what the question's author printed."""

import sys

from mnist_mlp import command, interrupts

if __name__ == "__main__":
    sys.exit(interrupts.run(command.main))
