"""What must never be shown, and how it is taken out of what is."""
