"""What a source is: something that gives batches of rows, each row with the line it came from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import polars as pl
from pydantic import BaseModel, ValidationError

from cdp_core import plugins
from cdp_core.errors import SpecError
from cdp_core.privacy.door import Door
from cdp_core.privacy.spec import PrivacySpec
from cdp_core.sources.spec import SourceSpec

if TYPE_CHECKING:
    from cdp_core.engine import Staging

LINE = "_line"
REJECT_SCHEMA = pl.Schema({"payload": pl.String, "rule": pl.String, "field": pl.String, "description": pl.String})
STATE_SCHEMA = pl.Schema({"part": pl.String, "fingerprint": pl.String, "cursor": pl.String, "rows": pl.Int64})


@dataclass(frozen=True, kw_only=True)
class SourceBatch:
    """Rows of one part of a source (a file, a table).

    `rows` has the source's own columns and `_line` (Int64, the first line or row number in the part).
    `rejects` has payload, rule, field, description: rows that could not be read. `read` counts both. `kinds` tells the
    type (string, integer, number, boolean, date, datetime, json) of columns that `rows` holds as text; with `untyped`
    the types of other text columns are inferred (CSV), without it text is text (Parquet, SQL).
    `guarded`: the source has taken care of controls on personal data itself, on the texts of its events.
    `modified` is the part's own time (UTC), the time of rows that have none. A batch of no rows records its part.
    """

    part: str
    fingerprint: str
    rows: pl.DataFrame
    rejects: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=REJECT_SCHEMA))
    cursor: str | None = None
    kinds: dict[str, str] = field(default_factory=dict)
    untyped: bool = False
    guarded: bool = False
    modified: datetime | None = None
    fraction: float | None = None

    @property
    def read(self) -> int:
        return self.rows.height + self.rejects.height


@dataclass(frozen=True, kw_only=True)
class SourceContext:
    """What a source is opened with: its name in cdp.yaml, the workspace's folder, scratch space for set-wise work."""

    name: str
    root: Path
    staging: Staging
    door: Door = field(default_factory=lambda: Door(PrivacySpec(), "*"))
    """What becomes of personal data; sources of their own need not look at it."""
    mapping: str = ""
    """Hash of the source's whole definition: a part of every fingerprint, so that an edited mapping loads again."""

    def fail(self, what: str, **more: Any) -> Exception:
        from cdp_core.errors import SourceError

        return SourceError(f"source {self.name!r}: {what}", **more)


class Source(Protocol):
    """A source type. `gives` tells whether rows need a mapping or are events already (columns of tables.EVENTS)."""

    Options: ClassVar[type[BaseModel]]
    gives: ClassVar[Literal["rows", "events"]]

    def __init__(self, options: Any, context: SourceContext) -> None: ...

    def read(self, state: pl.DataFrame) -> Iterator[SourceBatch]:
        """Batches of everything that `state` (part, fingerprint, cursor, rows) does not cover yet.

        Raises SourceError when the source cannot be read.
        """
        ...


def check_source(name: str, spec: SourceSpec) -> BaseModel:
    """Parse a source's own options with the class that its type names.

    Raises SpecError: unknown type, unknown or missing option (with the nearest valid one), no mapping where one is
    needed.
    """
    where = f"sources.{name}"
    try:
        kind = plugins.load(plugins.SOURCES, spec.type)
    except SpecError as error:
        raise SpecError(error.what, where=where, choices=error.choices, hint=error.hint) from None
    if kind.gives == "rows" and spec.map is None:
        raise SpecError("a mapping is missing", where=where, hint="add `map:` with type, key, time and identifiers")
    if kind.gives == "events" and spec.map is not None:
        raise SpecError(f"sources of type {spec.type} hold events already", where=where, hint="remove `map:`")
    try:
        options: BaseModel = kind.Options.model_validate(spec.options)
    except ValidationError as error:
        raise _option_error(error, where, kind.Options) from None
    return options


def _option_error(error: ValidationError, where: str, model: type[BaseModel]) -> SpecError:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        unknown = SpecError.unknown("option", place, [*model.model_fields, *SourceSpec.model_fields], where=where)
        assert isinstance(unknown, SpecError)
        return unknown
    if first["type"] == "missing":
        return SpecError(f"option {place!r} is missing", where=where)
    text = first["msg"].removeprefix("Value error, ")
    return SpecError(f"option {place!r}: {text}" if place else text, where=where)


def rejects(payload: pl.Series, rule: pl.Series, description: pl.Series, name: pl.Series | None = None) -> pl.DataFrame:
    """A frame of REJECT_SCHEMA from its columns."""
    blank = pl.Series([None] * len(payload), dtype=pl.String)
    columns = {"payload": payload, "rule": rule, "field": blank if name is None else name, "description": description}
    return pl.DataFrame(columns, schema=REJECT_SCHEMA)
