"""Analyses a stack: its init services, servers, dependencies and healthchecks."""
