"""Turns changes of the merged stack into edits of the spans concerned, and writes files whole or not at all."""
