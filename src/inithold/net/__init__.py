"""Network connections with time limits: TCP, HTTP, TLS."""
