"""Processes: the children we start, signals, streams and what they say."""
