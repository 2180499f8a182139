"""Tables and queries of databases, through SQLAlchemy, in chunks; new rows alone when there is a cursor column."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

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
        except sa.exc.ArgumentError:
            raise SpecError("option 'url' is no SQLAlchemy URL", where=f"sources.{self.context.name}",
                            hint="such as postgresql+psycopg://user@host/database or sqlite:///file.db") from None  # fmt: skip
        if url.drivername in ("postgresql", "postgres"):
            url = url.set(drivername="postgresql+psycopg")
        if url.get_backend_name() == "sqlite" and url.database and url.database != ":memory:":
            from cdp_core.sources.parts import find_files

            file = find_files(self.context, url.database)[0]
            return sa.create_engine(f"sqlite:///file:{file}?mode=ro&uri=true"), file
        try:
            return sa.create_engine(url, connect_args=_patience(url)), None
        except (sa.exc.SQLAlchemyError, ImportError) as error:
            raise self._failure(error) from None

    def _chunks(self, connection: sa.Connection, since: str | None, fingerprint: str) -> Iterator[SourceBatch]:
        import sqlalchemy as sa

        statement, bound = self._statement(connection, since)
        streaming = connection.execution_options(stream_results=True, max_row_buffer=CHUNK_ROWS)
        result = streaming.execute(statement, bound)
        names = tidy(result.keys())
        self._check_cursor(names)
        cursor, number = since, 1
        for rows in result.partitions(CHUNK_ROWS):
            frame = _frame(names, rows).with_columns(
                pl.int_range(number, number + len(rows), dtype=pl.Int64).alias(LINE)
            )
            cursor = _newest(frame, self.options.cursor, cursor)
            yield SourceBatch(part=self.part, fingerprint=fingerprint, cursor=cursor, rows=frame)
            number += len(rows)
        if number == 1:
            yield SourceBatch(part=self.part, fingerprint=fingerprint, cursor=cursor, rows=pl.DataFrame())
        del sa

    def _statement(self, connection: sa.Connection, since: str | None) -> tuple[sa.Executable, dict[str, Any]]:
        """The query, cut at the cursor: `>=` reads the last rows again, because more may have come with their value."""
        import sqlalchemy as sa

        quote = connection.dialect.identifier_preparer.quote
        if self.options.query:
            query = self.options.query.strip().rstrip(";")
            inner, text = f"({query}) AS rows_of_query", sa.text(query.replace(":", r"\:"))
        else:
            inner = ".".join(quote(part) for part in (self.options.table or "").split("."))
            text = sa.text(f"SELECT * FROM {inner}")
        if not (self.options.cursor and since is not None):
            return text, {}
        column = quote(self.options.cursor)
        kind = self._cursor_type(connection, inner, column)
        cut = sa.text(f"SELECT * FROM {inner.replace(':', chr(92) + ':')} WHERE {column} >= :since OR {column} IS NULL")
        return cut, {"since": _as(since, kind)}

    def _cursor_type(self, connection: sa.Connection, inner: str, column: str) -> type:
        import sqlalchemy as sa

        sample = sa.text(f"SELECT max({column}) FROM {inner.replace(':', chr(92) + ':')}")
        return type(connection.execute(sample).scalar())

    def _check_cursor(self, names: Sequence[str]) -> None:
        if self.options.cursor and self.options.cursor not in names:
            raise SpecError.unknown("column", self.options.cursor, names, where=f"sources.{self.context.name}.cursor")

    def _failure(self, error: BaseException) -> Exception:
        """One line, without the password that a driver may have put into its message."""
        cause = getattr(error, "orig", None) or error
        text = next((line for line in str(cause).splitlines() if line.strip()), type(cause).__name__)
        text = re.sub(r"(://[^:/@\s]*):[^@\s]*@", r"\1:…@", text)
        password = re.search(r"://[^:/@]*:([^@]*)@", self.options.url)
        if password and password[1]:
            text = text.replace(password[1], "…")
        return self.context.fail(f"the database refused: {text}", hint="check url, query and that the database runs")


def _patience(url: sa.URL) -> dict[str, Any]:
    return {"connect_timeout": 10} if url.get_backend_name() in ("postgresql", "mysql", "mariadb") else {}


def _stamp(file: Path | None) -> str | None:
    """Size and time of a database file and its write-ahead log."""
    if file is None:
        return None
    both = [p.stat() for p in (file, file.with_name(file.name + "-wal")) if p.exists()]
    return "file=" + ",".join(f"{s.st_size}/{s.st_mtime_ns}" for s in both)


def _frame(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> pl.DataFrame:
    return pl.DataFrame([_series(name, values) for name, values in zip(names, zip(*rows, strict=True), strict=True)])


def _series(name: str, values: Sequence[Any]) -> pl.Series:
    """A column of one type; a column of many, as SQLite allows, becomes text."""
    kinds = set(map(type, values)) - {type(None)}
    if not kinds:
        return pl.Series(name, [None] * len(values), dtype=pl.String)
    if kinds <= {dict, list}:
        import json

        return pl.Series(name, [None if v is None else json.dumps(v, ensure_ascii=False, default=str) for v in values])
    if kinds == {datetime}:
        return pl.Series(name, [_naive(v) for v in values], dtype=pl.Datetime("us"))
    simple = {int: pl.Int64, float: pl.Float64, bool: pl.Boolean, str: pl.String, bytes: pl.Binary}
    try:
        if len(kinds) == 1 and (dtype := simple.get(next(iter(kinds)))):
            return pl.Series(name, values, dtype=dtype)
        if kinds == {int, float}:
            return pl.Series(name, values, dtype=pl.Float64, strict=False)
        if all(kind.__name__ == "date" for kind in kinds):
            return pl.Series(name, values, dtype=pl.Date)
    except (OverflowError, TypeError, pl.exceptions.PolarsError):
        pass
    return pl.Series(name, [None if v is None else _spelled(v) for v in values], dtype=pl.String)


def _naive(value: datetime | None) -> datetime | None:
    return value.astimezone(UTC).replace(tzinfo=None) if value is not None and value.tzinfo else value


def _spelled(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _newest(frame: pl.DataFrame, column: str | None, before: str | None) -> str | None:
    if column is None or frame[column].null_count() == frame.height:
        return before
    newest = frame[column].max()
    text = newest.isoformat(sep=" ") if isinstance(newest, datetime) else str(newest)
    if before is None:
        return text
    if frame[column].dtype.is_numeric():
        return str(max(newest, type(newest)(before)))  # type: ignore[type-var, call-arg, arg-type]
    return max(text, before)


def _as(text: str, kind: type) -> Any:
    """The cursor's kept text as a value that the database compares rightly."""
    if kind in (int, float):
        return kind(text)
    if kind is datetime:
        return datetime.fromisoformat(text)
    if kind.__name__ == "date":
        return datetime.fromisoformat(text).date()
    return text
