"""Problems in a configuration: each has a place and becomes one line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from cdp_core.errors import SpecError
from cdp_core.redaction import Secrets


@dataclass(frozen=True, order=True)
class Place:
    """A line of a file; the file is written relative to the workspace.

    >>> str(Place("audiences/vip.yaml", 3))
    'audiences/vip.yaml:3'
    """

    file: str
    line: int | None = None

    def __str__(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: what, where, the valid choices and the next step."""

    place: Place
    what: str
    choices: tuple[str, ...] = field(default=())
    hint: str | None = None

    def __str__(self) -> str:
        return str(self.error())

    def without(self, secrets: Secrets) -> Problem:
        """The same, with … for every secret: it may outlive whoever holds them."""
        hidden = secrets.hidden_in
        return Problem(
            self.place,
            hidden(self.what),
            tuple(map(hidden, self.choices)),
            hidden(self.hint) if self.hint else self.hint,
        )

    def error(self, *, more: int = 0) -> SpecError:
        """The problem as an error; `more` counts the problems behind it."""
        others = f"{more} more problem{'s' if more > 1 else ''}: 'cdp doctor' lists them" if more else None
        hint = "; ".join(part for part in (self.hint, others) if part) or None
        return SpecError(self.what, where=str(self.place), choices=self.choices, hint=hint)


def unknown(place: Place, kind: str, name: str, valid: Iterable[str]) -> Problem:
    """The uniform wording for a name that is not there, with the nearest valid one."""
    valid = list(dict.fromkeys(valid))
    return Problem(place, f"unknown {kind} {name!r}", tuple(valid), nearest(name, valid))


def nearest(name: str, valid: Iterable[str]) -> str | None:
    """The hint that names the closest valid choice, if there is a close one."""
    near = difflib.get_close_matches(name, list(valid), n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else None


def raise_first(problems: Sequence[Problem]) -> None:
    """Raise the first problem and say how many more there are; nothing happens when there is none."""
    if problems:
        raise problems[0].error(more=len(problems) - 1)
