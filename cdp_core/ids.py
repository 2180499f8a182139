"""Names of runs."""

from __future__ import annotations

import secrets
from datetime import datetime


def run_id(at: datetime) -> str:
    """A new name for a run that starts at a time (UTC): names sort as the times do, to the microsecond.

    >>> run_id(datetime(2026, 3, 1, 12, 30, 0, 255))[:-3]
    'r20260301T123000_000ff'
    """
    return f"r{at:%Y%m%dT%H%M%S}_{at.microsecond:05x}{secrets.token_hex(2)[:3]}"
