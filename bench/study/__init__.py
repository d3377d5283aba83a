"""The study of steps to target, which depend on learning and not on the machine."""
