"""What databases share that are a file."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from cdp_core.destinations.base import Delivery
from cdp_core.destinations.databases.keyed import checked_name
from cdp_core.destinations.databases.table import TableDestination
from cdp_core.errors import DestinationError
from cdp_core.modes import new_folder, private_file


class FileDatabaseOptions(BaseModel):
    """`path` is relative to the workspace; the file is made when it is missing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str = Field(min_length=1, description="The file, relative to the workspace")
    statement_timeout: float = Field(300, gt=0, description="Seconds that one statement may take")


class FileTableOptions(BaseModel):
    """`table` is made when it is missing; missing columns are added. An existing table needs a unique key column."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: str

    @field_validator("table")
    @classmethod
    def _name(cls, name: str) -> str:
        return checked_name(name, 200)


class FileDatabase(TableDestination):
    """A table in a file. `place` names the file, so that a moved one gets every row."""

    longest_name = 200
    type_name = ""

    @property
    def path(self) -> Path:
        return Path(self.root, self.options.path)

    def place(self, delivery: Delivery) -> str:
        return f"{self.type_name}:{self.options.path}/{delivery.options.table}:{delivery.key}"

    def present(self, delivery: Delivery) -> bool:
        return self.path.is_file() and super().present(delivery)

    def prepare(self, delivery: Delivery) -> None:
        try:
            new_folder(self.path.parent)
            self._make_private()
        except OSError as error:
            raise DestinationError(f"the folder cannot be made: {error.strerror}", where=self._shown()) from None
        super().prepare(delivery)

    def _make_private(self) -> None:
        """A file that is not there yet, for this user alone."""
        private_file(self.path)

    def test(self) -> str:
        """A file that is not there yet is not made."""
        if not self.path.is_file():
            self._writable(next(p for p in self.path.parents if p.exists()))
            return f"{self._shown()} will be made by the first delivery"
        with self._open() as connection, self._translated(), self._transaction(connection):
            self._execute(connection, "CREATE TEMPORARY TABLE cdp_probe (n integer)")
            self._execute(connection, "DROP TABLE cdp_probe")
        return f"{self._shown()} answers: {self.product} {self._version()}"

    def _version(self) -> str:
        raise NotImplementedError

    def _writable(self, place: Path) -> None:
        import os

        if not place.is_dir() or not os.access(place, os.W_OK):
            raise DestinationError("the folder cannot be written", where=self._shown(), hint="look at its rights")

    def _shown(self) -> str:
        return str(self.options.path)

    def _table(self, options: Any) -> str:
        return self.dialect.name(options.table)

    def _same(self, name: str) -> str:
        """Both databases compare names without regard to the case of ASCII letters."""
        return "".join(c.lower() if c.isascii() else c for c in name)

    @contextmanager
    def _transaction(self, connection: Any) -> Iterator[None]:
        """A statement that takes longer than `statement_timeout` is interrupted."""
        timer = threading.Timer(self.options.statement_timeout, connection.interrupt)
        timer.daemon = True
        timer.start()
        try:
            self._execute(connection, self._begin)
            yield
            self._execute(connection, "COMMIT")
        except BaseException:
            self._roll_back(connection)
            raise
        finally:
            timer.cancel()

    _begin = "BEGIN"

    def _roll_back(self, connection: Any) -> None:
        try:
            self._execute(connection, "ROLLBACK")
        except self._errors():
            # The database has ended the transaction itself.
            return
