"""Identifiers as ad platforms want them: normalised, then hashed, with a word on why a value came out blank.

`vectors.json` beside this file is the published test of it; docs/reference/hashing.md says how to use that from
another language.
"""

from cdp_core.destinations.hashing.fields import FIELDS, Field, field_of
from cdp_core.destinations.hashing.values import REASONS, normalised

__all__ = ["FIELDS", "REASONS", "Field", "field_of", "normalised"]
