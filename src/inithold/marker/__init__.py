"""The promise to the health check. Standard library only, and little of it: a probe runs this for ever."""
