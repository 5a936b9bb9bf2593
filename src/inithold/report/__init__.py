"""Records as one self-contained page: the timeline of a run, two runs compared, or a list of runs."""
