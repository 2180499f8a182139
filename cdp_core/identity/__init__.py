"""Identity: which identifiers, and so which events, belong to one person."""
