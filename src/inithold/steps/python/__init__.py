"""Calls the user's Python functions."""

from inithold.steps.python.kinds import Call, Function

__all__ = ["Call", "Function"]
