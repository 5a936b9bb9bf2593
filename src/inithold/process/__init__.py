"""Processes: starting children, signals, standard streams, captured output."""
