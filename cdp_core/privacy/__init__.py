"""Privacy: what may be known, kept and sent about a person."""
