"""What destinations share that hold one row per key in a table: names, modes, and rows that do not fit."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from cdp_core.destinations.base import Delivery
from cdp_core.errors import DestinationError

if TYPE_CHECKING:
    import polars as pl

MODES = frozenset({"insert", "update", "upsert", "mirror", "full", "remove"})
NO_ROW = "no row with this key"


def checked_name(name: str, longest: int, *, unit: str = "bytes") -> str:
    """A name of a table or column. Raises ValueError when the database would cut or refuse it."""
    size = len(name.encode()) if unit == "bytes" else len(name)
    if not name or "\0" in name or size > longest:
        raise ValueError(f"a name of 1 to {longest} {unit} is wanted")
    return name


class KeyedRows(ABC):
    """Names are checked against `longest_name` (in `name_unit`) and `_same`, rows against `_unfit`."""

    product: ClassVar[str]
    modes: ClassVar[frozenset[str]] = MODES
    longest_name: ClassVar[int] = 63
    name_unit: ClassVar[str] = "bytes"

    def __init__(self, options: Any, root: Path) -> None:
        self.options, self.root = options, root
        self._delivery: Delivery | None = None

    @abstractmethod
    def _shown(self) -> str:
        """Where it is, without a secret."""

    def _unfit(self, rows: pl.DataFrame) -> dict[str, pl.Expr]:
        """Rows that the database would take and spoil: from the reason to what they have in common."""
        return {}

    def _plain(self, options: Any) -> str:
        """The table as it stands in cdp.yaml."""
        return str(options.table)

    def _same(self, name: str) -> str:
        """Column names that the database takes for the same come out equal."""
        return name

    def _check_column(self, name: str) -> None:
        """Raises ValueError for a name that no column can have."""
        checked_name(name, self.longest_name, unit=self.name_unit)

    def _check_names(self, delivery: Delivery) -> None:
        seen: dict[str, str] = {}
        for name in delivery.fields:
            where = f"syncs.{delivery.sync}.mapping"
            try:
                self._check_column(name)
            except ValueError as error:
                what = f"{name[:40]!r}… is no column of {self.product}: {error}"
                raise DestinationError(what, where=where) from None
            if (twin := seen.setdefault(self._same(name), name)) != name:
                raise DestinationError(f"{twin!r} and {name!r} are one column to {self.product}", where=where)

    def _split(self, rows: pl.DataFrame, key: str) -> tuple[dict[Any, str], pl.DataFrame]:
        """Refused rows with their reasons, and the others."""
        failed: dict[Any, str] = {}
        for reason, condition in self._unfit(rows).items():
            failed.update(dict.fromkeys(rows.filter(condition)[key].to_list(), reason))
        return failed, rows.filter(~rows[key].is_in(list(failed))) if failed else rows

    def _named(self, rows: pl.DataFrame, key: str, values: list[Any]) -> dict[Any, str]:
        """Absent keys as the batch writes them, with the reason."""
        import polars as pl

        keys = rows[key]
        found = keys.filter(keys.cast(pl.String).is_in([str(value) for value in values]))
        if found.len() != len(values):
            raise DestinationError(
                f"the table's column {key!r} writes keys in another way than the sync does",
                where=self._shown(),
                hint="map the key in the type of the column",
            )
        return dict.fromkeys(found.to_list(), NO_ROW)

    def _prepared(self) -> Delivery:
        if self._delivery is None:
            raise DestinationError("prepare() has not been called", where=self._shown())
        return self._delivery
