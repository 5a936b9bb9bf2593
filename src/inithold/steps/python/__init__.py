"""Functions of the user's own, called in this process."""

from inithold.steps.python.kinds import Call, Function

__all__ = ["Call", "Function"]
