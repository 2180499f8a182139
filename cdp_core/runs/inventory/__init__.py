"""The inventory: which fields of sources and tables hold personal data, and where each of them flows."""
