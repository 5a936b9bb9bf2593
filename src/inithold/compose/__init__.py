"""Checks and fixes Compose files; independent of the runner.

The pipeline: `read` loads the files into a merged stack with positions, `stack` finds the init services and what
they do, `rules` yields findings, `edit` turns their changes into edits of the files, `output` prints them.
"""
