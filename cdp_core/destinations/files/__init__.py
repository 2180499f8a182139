"""Files, here or in a bucket."""
