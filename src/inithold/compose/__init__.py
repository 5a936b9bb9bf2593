"""Checks and fixes Compose files: a room of its own, beside the runner.

A stack goes one way through it: `loading` (files in, merged stack with positions out), `roles` (which services
are init services), `rules` (one file each: findings out), `edit` (the findings' changes as span edits), `output`.
"""
