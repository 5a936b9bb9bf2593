"""From a plan file or a Python object to a checked plan. Knows nothing of databases."""
