"""Knows time and order, not what a step means."""
