"""Plug-ins: entry points of the groups `cdp_core.sources` and `cdp_core.destinations`, loaded when first used.

Built-in types go through the same groups, so a package of one's own adds a type with three lines in its
pyproject.toml:

    [project.entry-points."cdp_core.sources"]
    billing = "acme_cdp.billing:BillingSource"
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from cdp_core.errors import SpecError

SOURCES = "cdp_core.sources"
DESTINATIONS = "cdp_core.destinations"


def names(group: str) -> list[str]:
    """Types that are installed in a group, sorted.

    >>> names("cdp_core.sources")[:2]
    ['file', 'segment']
    """
    return sorted(_points(group))


def load(group: str, name: str) -> Any:
    """The class behind a `type:` of cdp.yaml.

    Raises SpecError when no such type is installed (with the nearest one), or when its package does not import.

    >>> load("cdp_core.sources", "file").__name__
    'FileSource'
    """
    found = _points(group).get(name)
    kind = f"{group.rpartition('.')[2].removesuffix('s')} type"
    if found is None:
        raise SpecError.unknown(kind, name, _points(group))
    try:
        return found.load()
    except (ImportError, AttributeError) as error:
        raise SpecError(
            f"the {kind} {name!r} ({found.value}) does not load: {error}", hint="install or update its package"
        ) from error


def origin(group: str, name: str) -> str:
    """Where a type comes from: "built in", "plug-in", or "own" when none of that name is installed.

    >>> origin("cdp_core.sources", "file")
    'built in'
    """
    found = _points(group).get(name)
    if found is None:
        return "own"
    return "built in" if found.value.startswith("cdp_core.") else "plug-in"


@cache
def _points(group: str) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=group)}
