"""Days that are unlike a source's own history."""
