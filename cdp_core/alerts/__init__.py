"""Alerts: what is worth telling after a run or a sync, told once until it is over."""
