"""Watchers: the console, the record and telemetry. They read events, and never influence the run."""
