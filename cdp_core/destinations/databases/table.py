"""What destinations share that write into a table of a database.

A batch is one load into a temporary table and one or two statements, in one transaction. Data that the database
refuses is `BatchRefused`; a connection that is lost is `Unavailable`, and the next call makes a new one.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from cdp_core.destinations.base import Batch, BatchRefused, Delivery, SendResult, Unavailable
from cdp_core.destinations.databases.dialect import Dialect
from cdp_core.destinations.databases.keyed import KeyedRows
from cdp_core.errors import DestinationError

if TYPE_CHECKING:
    import polars as pl


class TableDestination(KeyedRows):
    """Rows are upserted by the sync's key and removed by it; other rows of the table are never touched."""

    dialect: ClassVar[Dialect]
    batch_rows = 20_000
    erase_settles = 0.0

    def __init__(self, options: Any, root: Path) -> None:
        super().__init__(options, root)
        self._connection: Any = None

    @abstractmethod
    def _connect(self) -> Any:
        """A new connection, errors translated."""

    @abstractmethod
    def _table(self, options: Any) -> str:
        """The table's name, quoted, with all that stands before it."""

    @abstractmethod
    def _execute(self, connection: Any, statement: str, values: Any = None) -> list[tuple[Any, ...]]: ...

    @abstractmethod
    def _columns(self, connection: Any, options: Any) -> set[str]:
        """The columns of the table; none when there is no table."""

    @abstractmethod
    def _unique(self, connection: Any, options: Any, key: str) -> bool: ...

    @abstractmethod
    def _load(self, connection: Any, rows: pl.DataFrame) -> None:
        """Rows into the stage, which is there and empty."""

    @abstractmethod
    def _errors(self) -> tuple[type[Exception], ...]:
        """What the driver raises."""

    @abstractmethod
    def _reason(self, error: Exception) -> str | None:
        """Why rows were refused, without their values; None when the error is not about rows."""

    @abstractmethod
    def _described(self, error: Exception) -> tuple[str, str | None, bool]:
        """What happened, the next step, and whether trying again may help."""

    @contextmanager
    @abstractmethod
    def _transaction(self, connection: Any) -> Iterator[None]: ...

    def _make_stage(self, connection: Any, table: str, columns: list[str]) -> None:
        """With the real table's column types, so that a value that does not fit is refused here."""
        stage, named = self.dialect.stage, self.dialect.names(columns)
        self._execute(connection, f"DROP TABLE IF EXISTS {stage}")
        self._execute(connection, f"CREATE TEMPORARY TABLE {stage} AS SELECT {named} FROM {table} LIMIT 0")

    def _create(self, connection: Any, delivery: Delivery) -> None:
        table = self._table(delivery.options)
        self._execute(connection, self.dialect.create(table, delivery.fields, delivery.key))

    def prepare(self, delivery: Delivery) -> None:
        self._delivery = delivery
        self._check_names(delivery)
        self._connection = self._connect()
        with self._translated(), self._transaction(self._connection):
            self._ensure(self._connection, delivery)

    def send(self, batch: Batch) -> SendResult:
        delivery = self._prepared()
        failed, rows = self._split(batch.rows, batch.key)
        if not rows.height:
            return SendResult(failed)
        table = self._table(delivery.options)

        def write(connection: Any) -> None:
            if delivery.mode == "update":
                found = self._execute(connection, self.dialect.absent(table, batch.key))
                failed.update(self._named(rows, batch.key, [value for (value,) in found]))
            for statement in self.dialect.write(table, rows.columns, batch.key, delivery.mode):
                self._execute(connection, statement)

        self._staged(delivery, rows, write)
        return SendResult(failed)

    def remove(self, keys: pl.Series) -> SendResult:
        delivery = self._prepared()
        if keys.len():
            statements = self.dialect.remove(self._table(delivery.options), delivery.key)
            rows = keys.alias(delivery.key).to_frame()
            self._staged(delivery, rows, lambda connection: [self._execute(connection, s) for s in statements])
        return SendResult()

    def erase(self, delivery: Delivery, keys: pl.Series) -> SendResult:
        if not self.present(delivery):
            return SendResult()
        self._delivery = delivery
        try:
            return self.remove(keys)
        finally:
            self.finish(True)

    def present(self, delivery: Delivery) -> bool:
        with self._open() as connection, self._translated():
            return bool(self._columns(connection, delivery.options))

    def finish(self, complete: bool) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _ensure(self, connection: Any, delivery: Delivery) -> None:
        """Make the table, or add the columns it lacks. Raises DestinationError when the key is not unique there."""
        options, table = delivery.options, self._table(delivery.options)
        there = {self._same(name) for name in self._columns(connection, options)}
        if not there:
            self._create(connection, delivery)
            return
        missing = {name: kind for name, kind in delivery.fields.items() if self._same(name) not in there}
        for statement in self.dialect.add_columns(table, missing):
            self._execute(connection, statement)
        if self._same(delivery.key) not in there or not self._unique(connection, options, delivery.key):
            raise DestinationError(
                f"the table {self._plain(options)} has no unique index on {delivery.key!r}",
                where=f"sync {delivery.sync}",
                hint="rows cannot be upserted without one: add it, or name another table",
            )

    def _staged(self, delivery: Delivery, rows: pl.DataFrame, then: Callable[[Any], Any]) -> None:
        """Load the stage and go on, in one transaction. Raises BatchRefused for the data, Unavailable, others."""
        with self._translated():
            if self._connection is None:
                self._connection = self._connect()
            try:
                with self._transaction(self._connection):
                    self._make_stage(self._connection, self._table(delivery.options), rows.columns)
                    self._load(self._connection, rows)
                    then(self._connection)
            except self._errors() as error:
                if (reason := self._reason(error)) is None:
                    raise
                raise BatchRefused(reason, where=self._shown()) from None

    @contextmanager
    def _open(self) -> Iterator[Any]:
        connection = self._connect()
        try:
            yield connection
        finally:
            connection.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Errors of the driver as one line with neither password nor data in it."""
        try:
            yield
        except self._errors() as error:
            what, hint, again = self._described(error)
            if again:
                self._forget()
            raise (Unavailable if again else DestinationError)(what, where=self._shown(), hint=hint) from None

    def _forget(self) -> None:
        """The connection may be broken: the next call makes a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except self._errors():
                return
