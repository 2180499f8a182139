"""Runs: load → quality → identity → profiles → audiences → syncs, each recorded with its balance."""
