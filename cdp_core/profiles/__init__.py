"""From events to golden records: survivorship, computed and SQL traits, consent, the single customer view."""
