"""Saved and live cases as a type."""
