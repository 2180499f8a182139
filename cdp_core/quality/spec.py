"""A suite and its expectations, as written in expectations/."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Severity = Literal["warn", "quarantine", "stop"]
Kind = Literal["source", "table"]
SEVERITIES: tuple[str, ...] = ("warn", "quarantine", "stop")
COLUMN_ARGUMENTS = ("column", "column_A", "column_B")


class Expectation(BaseModel):
    """One expectation of Great Expectations with what a failure means.

    `rule` is its short name, unique in the suite. `line` is where it stands in its file (0: nowhere yet). `other` holds
    fields of Great Expectations' own that are kept as they are.

    >>> Expectation(type="expect_column_values_to_not_be_null", kwargs={"column": "email"}, severity="warn",
    ...             rule="email_given", description="Every contact has an e-mail").field
    'email'
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str
    kwargs: dict[str, Any] = Field(default_factory=dict)
    severity: Severity
    rule: str
    description: str
    line: int = 0
    meta: dict[str, Any] = Field(default_factory=dict)
    other: dict[str, Any] = Field(default_factory=dict)

    @property
    def columns(self) -> list[str]:
        """Columns that the expectation reads by name."""
        found = [self.kwargs[name] for name in COLUMN_ARGUMENTS if name in self.kwargs]
        return [str(name) for name in [*found, *self.kwargs.get("column_list", [])]]

    @property
    def field(self) -> str:
        """The columns it is about; `field` in its `meta` says so where SQL does not."""
        return str(self.meta.get("field") or ", ".join(self.columns))

    def to_json(self) -> dict[str, Any]:
        """The JSON that Great Expectations reads."""
        ours = {"severity": self.severity, "rule": self.rule, "description": self.description}
        return {"type": self.type, "kwargs": self.kwargs, "meta": {**ours, **self.meta}, **self.other}


class Suite(BaseModel):
    """Expectations on one source's rows or on one canonical table; `target` is its name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    kind: Kind
    target: str
    path: Path
    expectations: tuple[Expectation, ...] = ()
    meta: dict[str, Any] = Field(default_factory=dict)
    other: dict[str, Any] = Field(default_factory=dict)

    @property
    def keys(self) -> tuple[str, ...]:
        """Columns that name a failing row: what is held, or shown as a sample."""
        if self.kind == "source":
            return ("message_id",)
        return ("source", "message_id") if self.target == "events" else ("profile_id",)

    def columns(self) -> list[str] | None:
        """Columns that a copy of the table needs to be checked; None when it must be the whole table."""
        needed = dict.fromkeys(self.keys)
        for expectation in self.expectations:
            if not expectation.columns or expectation.kwargs.get("row_condition"):
                return None
            needed.update(dict.fromkeys(expectation.columns))
        return list(needed)

    def to_json(self) -> dict[str, Any]:
        """The JSON that `gx.ExpectationSuite(**json)` accepts."""
        found = [expectation.to_json() for expectation in self.expectations]
        return {"name": self.name, **self.other, "meta": self.meta, "expectations": found}

    def where(self, expectation: Expectation) -> str:
        return f"{place(self.path)}:{expectation.line}" if expectation.line else place(self.path)


def place(path: Path) -> str:
    """The file as a user knows it: expectations/sources/orders.json."""
    return "/".join(path.parts[-3:])
