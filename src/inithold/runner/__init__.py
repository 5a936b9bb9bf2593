"""Schedules steps: order, time, attempts, workers. Knows nothing of what a step does."""
