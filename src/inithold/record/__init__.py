"""The account of a run, kept current while it runs."""
