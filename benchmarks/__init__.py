"""inithold beside what people write by hand, measured in one run. `make bench` prints the table and keeps it."""
