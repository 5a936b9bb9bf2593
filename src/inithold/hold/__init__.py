"""The process that holds: what it becomes, how it verifies, and how PID 1 reaps. Standard library only."""
