"""How soon something has to happen that happens "at once", in a test on a machine that does much else."""

PROMPTLY = 4.0
"""Seconds. Less than the waits that it is told apart from: 5 s for code that does not stop or a server that does
not answer, 10 s of `docker stop`. Promises to the tenth of a second are measured in benchmarks/ and tests/e2e.
"""
