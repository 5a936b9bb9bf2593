"""The hold: becoming the holder, verifying, and reaping as PID 1. Standard library only."""
