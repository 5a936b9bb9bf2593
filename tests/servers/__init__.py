"""Real servers for the tests and the benchmarks: one small file per technology.

Every server is a context manager that starts a private instance on a free port, with its files in the folder of
the run, and that is certainly gone afterwards, also when the test process is killed (see `run.py`).
"""
