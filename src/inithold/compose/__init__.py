"""Checks and fixes Compose files: a room of its own, beside the runner.

A stack goes one way through it: `read` (files in, merged stack with positions out), `stack` (which services are
init services, and what they do), `rules` (findings out), `edit` (their changes as edits of spans), `output`.
"""
