"""Connections: dialling, HTTP and TLS, bounded in time."""
