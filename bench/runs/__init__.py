"""Saved and live cases as a type; UserError is what this room raises."""

from mnist_mlp.errors import UserError

__all__ = ["UserError"]
