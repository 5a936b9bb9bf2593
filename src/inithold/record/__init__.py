"""The record of a run, kept current while it runs."""
