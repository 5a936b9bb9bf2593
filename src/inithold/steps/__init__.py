"""The step kinds: one technology, one file; one kind, one class."""
