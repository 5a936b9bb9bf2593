"""Keeping secrets and terminal control sequences out of everything that is shown."""
