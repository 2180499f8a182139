"""Tables and queries of databases, through SQLAlchemy, in chunks; new rows alone when there is a cursor column."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from urllib.parse import quote

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, model_validator

from cdp_core.errors import SpecError
from cdp_core.sources.base import LINE, SourceBatch, SourceContext
from cdp_core.sources.names import tidy

if TYPE_CHECKING:
    import sqlalchemy as sa

CHUNK_ROWS = 50_000


class SqlOptions(BaseModel):
    """Which rows of which database.

    >>> SqlOptions(url="sqlite:///support.db", table="tickets").cursor is None
    True
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(description="SQLAlchemy URL; a relative SQLite file is looked for in the workspace", repr=False)
    table: str | None = Field(None, description="Table or schema.table")
    query: str | None = Field(None, description="SELECT in the database's own SQL, instead of `table`")
    cursor: str | None = Field(None, description="Column that grows with every change, such as updated_at")

    @model_validator(mode="after")
    def _one(self) -> SqlOptions:
        if (self.table is None) == (self.query is None):
            raise ValueError("either `table` or `query` is needed")
        return self


class SqlSource:
    """Rows of a query. With `cursor` a run reads the rows at or after the newest value seen, and those without one."""

    Options: ClassVar[type[BaseModel]] = SqlOptions
    gives: ClassVar[Literal["rows", "events"]] = "rows"

    def __init__(self, options: SqlOptions, context: SourceContext) -> None:
        self.options = options
        self.context = context
        self.part = options.table or "query"

    def read(self, state: pl.DataFrame) -> Iterator[SourceBatch]:
        import sqlalchemy as sa

        engine, file = self._engine()
        fingerprint = f"map={self.context.mapping}"
        before = state.row(0, named=True) if state.height else {}
        known = before.get("fingerprint") or ""
        since = before.get("cursor") if known.startswith(fingerprint) else None
        stamp = _stamp(file)
        if stamp and known == f"{fingerprint};{stamp}":
            return
        fingerprint = f"{fingerprint};{stamp}" if stamp else fingerprint
        try:
            with engine.connect() as connection:
                yield from self._chunks(connection, since, fingerprint)
        except sa.exc.SQLAlchemyError as error:
            raise self._failure(error) from None
        finally:
            engine.dispose()

    def _engine(self) -> tuple[sa.Engine, Path | None]:
        import sqlalchemy as sa

        try:
            url = sa.make_url(self.options.url)
        except (sa.exc.ArgumentError, ValueError):
            raise SpecError(
                "option 'url' is no SQLAlchemy URL",
                where=f"sources.{self.context.name}",
                hint="such as postgresql+psycopg://user@host/database or sqlite:///file.db",
            ) from None
        if url.drivername in ("postgresql", "postgres"):
            url = url.set(drivername="postgresql+psycopg")
        if url.get_backend_name() == "sqlite" and url.database and url.database != ":memory:":
            from cdp_core.sources.parts import find_files

            file = find_files(self.context, url.database)[0]
            return sa.create_engine("sqlite://", creator=lambda: _sqlite(file), poolclass=sa.NullPool), file
        try:
            return sa.create_engine(url, connect_args=_patience(url)), None
        except (sa.exc.SQLAlchemyError, ImportError) as error:
            raise self._failure(error) from None

    def _chunks(self, connection: sa.Connection, since: str | None, fingerprint: str) -> Iterator[SourceBatch]:
        statement, bound, newest = self._statement(connection, since)
        streaming = connection.execution_options(stream_results=True, max_row_buffer=CHUNK_ROWS)
        result = streaming.execute(statement, bound)
        names = tidy(result.keys())
        number = 1
        for rows in result.partitions(CHUNK_ROWS):
            lines = pl.int_range(number, number + len(rows), dtype=pl.Int64).alias(LINE)
            frame, kinds = _frame(names, rows)
            frame = frame.with_columns(lines)
            yield SourceBatch(part=self.part, fingerprint=fingerprint, cursor=newest, rows=frame, kinds=kinds)
            number += len(rows)
        if number == 1:
            yield SourceBatch(part=self.part, fingerprint=fingerprint, cursor=newest, rows=pl.DataFrame())

    def _statement(
        self, connection: sa.Connection, since: str | None
    ) -> tuple[sa.Executable, dict[str, Any], str | None]:
        """The query, what is bound in it, and the newest cursor value.

        `>=` reads the last rows again, because more may have come with their value. The newest value is asked for
        before the rows: one that comes in between is then read twice, not never.
        """
        import sqlalchemy as sa

        named = connection.dialect.identifier_preparer.quote
        text, inner = self._inner(named)
        if not self.options.cursor:
            return sa.text(text), {}, None
        empty = connection.execute(sa.text(f"SELECT * FROM {inner} WHERE 1 = 0"))
        if self.options.cursor not in (names := list(empty.keys())):
            raise SpecError.unknown("column", self.options.cursor, names, where=f"sources.{self.context.name}.cursor")
        column = named(self.options.cursor)
        newest = connection.execute(sa.text(f"SELECT max({column}) FROM {inner}")).scalar()
        if newest is None or since is None:
            return sa.text(text), {}, _kept(newest)
        cut = sa.text(f"SELECT * FROM {inner} WHERE {column} >= :since OR {column} IS NULL")
        return cut, {"since": _like(since, newest)}, _kept(newest)

    def _inner(self, named: Callable[[str], str]) -> tuple[str, str]:
        """The statement, and it as a table to select from; a colon in it is a colon, not a parameter."""
        if self.options.query:
            query = self.options.query.strip().rstrip(";").replace(":", r"\:")
            return query, f"({query}) AS rows_of_query"
        table = ".".join(named(part) for part in (self.options.table or "").split(".")).replace(":", r"\:")
        return f"SELECT * FROM {table}", table

    def _failure(self, error: BaseException) -> Exception:
        """One line of what the driver says; a password in it is taken out as it is of every error."""
        cause = getattr(error, "orig", None) or error
        text = next((line for line in str(cause).splitlines() if line.strip()), type(cause).__name__)
        return self.context.fail(f"the database refused: {text}", hint="check url, query and that the database runs")


def _patience(url: sa.URL) -> dict[str, Any]:
    return {"connect_timeout": 10} if url.get_backend_name() in ("postgresql", "mysql", "mariadb") else {}


def _stamp(file: Path | None) -> str | None:
    """Size and time of a database file and its write-ahead log."""
    if file is None:
        return None
    both = [p.stat() for p in (file, file.with_name(file.name + "-wal")) if p.exists()]
    return "file=" + ",".join(f"{s.st_size}/{s.st_mtime_ns}" for s in both)


def _frame(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> tuple[pl.DataFrame, dict[str, str]]:
    """The rows as columns, and which of them hold JSON."""
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    nested = {name: "json" for name, values in columns.items() if _types(values) and _types(values) <= {dict, list}}
    return pl.DataFrame([_series(name, values) for name, values in columns.items()]), nested


def _types(values: Sequence[Any]) -> set[type]:
    return set(map(type, values)) - {type(None)}


def _series(name: str, values: Sequence[Any]) -> pl.Series:
    """A column of one type; a column of many, as SQLite allows, becomes text."""
    kinds = _types(values)
    if not kinds:
        return pl.Series(name, [None] * len(values), dtype=pl.String)
    if kinds <= {dict, list}:
        import json

        return pl.Series(name, [None if v is None else json.dumps(v, ensure_ascii=False, default=str) for v in values])
    if kinds == {datetime}:
        return pl.Series(name, [None if v is None else _naive(v) for v in values], dtype=pl.Datetime("us"))
    simple = {int: pl.Int64, float: pl.Float64, bool: pl.Boolean, str: pl.String, bytes: pl.Binary}
    try:
        if len(kinds) == 1 and (dtype := simple.get(next(iter(kinds)))):
            return pl.Series(name, values, dtype=dtype)
        if kinds == {int, float}:
            return pl.Series(name, values, dtype=pl.Float64, strict=False)
        if kinds == {Decimal}:
            return _decimals(name, values)
        if kinds == {date}:
            return pl.Series(name, values, dtype=pl.Date)
    except (OverflowError, TypeError, pl.exceptions.PolarsError):
        pass
    return pl.Series(name, [None if v is None else _spelled(v) for v in values], dtype=pl.String)


def _decimals(name: str, values: Sequence[Decimal | None]) -> pl.Series:
    """Whole numbers, or floats where each is its decimal exactly as written, or else text: no digit is lost."""
    present = [v for v in values if v is not None]
    if all(v.is_finite() and v == v.to_integral_value() and abs(v) < 2**63 for v in present):
        return pl.Series(name, [None if v is None else int(v) for v in values], dtype=pl.Int64)
    if all(v.is_finite() and abs(v) < 10**15 and Decimal(repr(float(v))) == v for v in present):
        return pl.Series(name, [None if v is None else float(v) for v in values], dtype=pl.Float64)
    return pl.Series(name, [None if v is None else str(v) for v in values], dtype=pl.String)


def _naive(value: datetime) -> datetime:
    return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value


def _spelled(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _kept(value: Any) -> str | None:
    """A cursor value as text, times in UTC."""
    if value is None:
        return None
    return _naive(value).isoformat(sep=" ") if isinstance(value, datetime) else str(value)


def _like(text: str, sample: Any) -> Any:
    """The kept text of a cursor as a value of the sample's type, so that the database compares it rightly."""
    if isinstance(sample, datetime):
        return datetime.fromisoformat(text).replace(tzinfo=UTC if sample.tzinfo else None)
    if isinstance(sample, date):
        return date.fromisoformat(text[:10])
    return type(sample)(text) if isinstance(sample, (int, float, Decimal)) else text


def _sqlite(file: Path) -> Any:
    """A read-only connection; text that is no UTF-8 does not end the load."""
    import sqlite3

    connection = sqlite3.connect(f"file:{quote(str(file))}?mode=ro", uri=True)
    connection.text_factory = partial(str, encoding="utf-8", errors="backslashreplace")
    return connection
