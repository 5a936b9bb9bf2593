"""Words, durations, addresses and documents: text in, values out."""
