"""Erasing people of whom rows were sent that are not people: events."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from cdp_core.destinations.base import Batch, SendResult

if TYPE_CHECKING:
    import polars as pl


def erase_by(field: str, batch: Batch, erase: Callable[[pl.Series], SendResult]) -> SendResult:
    """Erase the people that `field` of the rows names; what becomes of a person becomes of each of their rows."""
    import polars as pl

    if field == batch.key:
        return erase(batch.rows[field])
    whose = batch.rows[field].cast(pl.String)
    people = whose.drop_nulls().unique(maintain_order=True)
    told = erase(people.filter(people != "")) if people.len() else SendResult()

    def of_rows(reasons: dict[str, str]) -> dict[str, str]:
        hit = whose.is_in(list(reasons)).fill_null(False)
        return {
            key: reasons[one] for key, one in zip(batch.rows[batch.key].filter(hit), whose.filter(hit), strict=True)
        }

    return SendResult(of_rows(_texts(told.failed)), of_rows(_texts(told.later)))


def _texts(reasons: object) -> dict[str, str]:
    return {str(key): reason for key, reason in dict(reasons).items()}  # type: ignore[call-overload]
