"""Sets of profiles by rule: the condition tree, its compiler, membership and its history."""
