"""Saved and live cases as a type. Reading them raises UserError."""

from mnist_mlp.errors import UserError

__all__ = ["UserError"]
