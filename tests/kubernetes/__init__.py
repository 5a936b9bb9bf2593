"""examples/kubernetes: by the official schemas, by rules of ours, and run, as far as that goes here."""
