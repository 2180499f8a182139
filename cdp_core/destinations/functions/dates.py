"""The forms of dates: signs of strftime that are put together from parts, and so are the same on every engine."""

from __future__ import annotations

import difflib
import re
import zoneinfo

SIGNS = {
    "%Y": "year",
    "%y": "year, two digits",
    "%m": "month",
    "%d": "day",
    "%j": "day of the year",
    "%H": "hour",
    "%I": "hour, 01 to 12",
    "%p": "AM or PM",
    "%M": "minute",
    "%S": "second",
    "%B": "January",
    "%b": "Jan",
    "%A": "Monday",
    "%a": "Mon",
    "%z": "distance from UTC, +0200",
    "%%": "a percent sign",
}
_BARE = "YmdjHIMS"
"""Signs that may be written without leading zeros: %-d."""


def parsed(form: str) -> list[str]:
    """Signs and the texts between them. Raises ValueError for a sign that is not known.

    >>> parsed("%-d. %B %Y")
    ['%-d', '. ', '%B', ' ', '%Y']
    """
    found = re.findall(r"%-.|%.|%|[^%]+", form, flags=re.DOTALL)
    for part in found:
        bare = part.startswith("%-") and part[2:] in tuple(_BARE)
        if part.startswith("%") and part not in SIGNS and not bare:
            raise ValueError(f"{part!r} is not known (valid: {', '.join(SIGNS)}, and %-d for no leading zero)")
    if not any(part.startswith("%") for part in found):
        raise ValueError("no part of a date stands in it; write one such as %Y-%m-%d")
    return found


def zone(name: str) -> str:
    """The name of a time zone, as it is. Raises ValueError with the nearest one."""
    known = zoneinfo.available_timezones()
    if name in known:
        return name
    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ", such as Europe/Berlin"
    raise ValueError(f"unknown time zone {name!r}{hint}")
