"""The marker and the health check. Imports little, and only the standard library: probes run this constantly."""
