"""Quality: what good data is, checked by Great Expectations on the staged batch before it is published."""
