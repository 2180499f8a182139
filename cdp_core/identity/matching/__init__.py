"""Matching: golden records that no identifier joins, compared with each other (extra `matching`, Splink on DuckDB)."""
