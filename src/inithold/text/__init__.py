"""Parsing and formatting text: durations, URLs, YAML, log lines, hints."""
