"""A file or a Python object in, a checked plan out; knows nothing of databases."""
