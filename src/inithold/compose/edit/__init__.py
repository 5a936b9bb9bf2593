"""Turns changes of the merged stack into edits of the files, and writes all files or none."""
