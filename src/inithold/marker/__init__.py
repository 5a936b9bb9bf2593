"""The marker and the health check. Standard library only, and little of it: a probe runs this all the time."""
