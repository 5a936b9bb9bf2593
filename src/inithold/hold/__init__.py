"""The last room; nothing comes back from it."""
