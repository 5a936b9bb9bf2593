"""Loads Compose files as Compose does, and remembers where every value is written."""
