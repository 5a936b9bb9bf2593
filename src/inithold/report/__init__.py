"""Records as a self-contained page: the timeline of a run, a comparison of two, or a list of runs."""
