"""Loads Compose files as Compose itself does, and keeps where every value is written."""
