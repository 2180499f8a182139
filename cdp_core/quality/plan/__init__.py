"""The tracking plan: which events a source sends and what is in them, checked in a batch and one by one."""
