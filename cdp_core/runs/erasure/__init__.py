"""Erasing a person: found, taken out of every table and file, asked for at every destination, proved, certified."""
