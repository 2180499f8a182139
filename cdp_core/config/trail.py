"""From pydantic's loc to the keys of the file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cdp_core.config.document import Path


class Trail:
    """Pydantic's loc, followed through the data.

    Some parts of it are keys and some are names of a union's alternatives, and one word may be either. The reading
    that ends on a key and meets the most keys is taken.
    """

    def __init__(self, loc: Path) -> None:
        self.loc = loc
        self.known: dict[tuple[int, Path], tuple[bool, int, Path, list[Path]]] = {}

    def follow(self, data: Any) -> tuple[Path, list[Path]]:
        _, _, path, branches = self._best(data, 0, ())
        return path, branches

    def _best(self, data: Any, at: int, path: Path) -> tuple[bool, int, Path, list[Path]]:
        if at == len(self.loc):
            return False, 0, path, []
        if (at, path) not in self.known:
            self.known[at, path] = max(self._readings(data, at, path), key=lambda reading: reading[:2])
        return self.known[at, path]

    def _readings(self, data: Any, at: int, path: Path) -> Iterator[tuple[bool, int, Path, list[Path]]]:
        part = self.loc[at]
        if holds(data, part):
            ends, met, end, branches = self._best(data[part], at + 1, (*path, part))
            yield ends or at + 1 == len(self.loc), met + 1, end, branches
        ends, met, end, branches = self._best(data, at + 1, path)
        yield ends, met, end, [self.loc[: at + 1], *branches]


def holds(data: Any, part: str | int) -> bool:
    """Whether `part` is a key or an index of `data`."""
    if isinstance(data, dict):
        return part in data
    return isinstance(data, list) and isinstance(part, int) and part < len(data)
