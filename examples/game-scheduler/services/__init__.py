"""The services of the game scheduler."""
