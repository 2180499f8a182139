"""Destinations and syncs: mapping, the diff before anything is sent, the delivery, and a ledger of every row."""
