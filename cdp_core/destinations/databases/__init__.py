"""Databases that take rows into a table."""
