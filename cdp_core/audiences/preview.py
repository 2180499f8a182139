"""What an audience would be, before it is saved: size, a sample, and what each condition keeps."""

from __future__ import annotations

import functools
import operator
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cdp_core.audiences.compile import AudienceTables, Marked
from cdp_core.audiences.spec import AllOf, AnyOf, Condition
from cdp_core.audiences.words import words

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import polars as pl

    from cdp_core.engine import Engine


@dataclass(frozen=True)
class Preview:
    """`count` of `total` profiles match. `funnel`: per condition of the outermost and / or, its words, how many
    profiles match it alone, and how many are left (and) or gathered (or) after it. `sample`: rows of profiles."""

    count: int
    total: int
    sample: pl.DataFrame
    funnel: list[tuple[str, int, int]] = field(default_factory=list)
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """What `cdp audience preview --output json` prints."""
        names = ("condition", "alone", "remaining")
        funnel = [dict(zip(names, step, strict=True)) for step in self.funnel]
        head = {"count": self.count, "total": self.total, "seconds": round(self.seconds, 3)}
        return {**head, "funnel": funnel, "sample": self.sample.to_dicts()}


def preview(
    engine: Engine, condition: Condition, tables: AudienceTables, now: datetime, *, sample: int = 20
) -> Preview:
    """Compute a preview; it leaves scratch tables behind (`engine.clear_scratch`). Raises SpecError as
    `compile_audience` does.

    >>> preview(engine, condition, tables, now).count  # doctest: +SKIP
    1234
    """
    started = time.perf_counter()
    marked = Marked(engine, [condition], tables, now)
    steps = _steps(condition)
    flags = {f"step_{i}": marked.holds(step) for i, step in enumerate(steps)}
    rows = engine.keep(marked.table.select("profile_id", **flags, matching=marked.holds(condition)))
    counts = engine.polars(rows.aggregate(**_counts(rows, list(flags), any_of=isinstance(condition, AnyOf))))
    number = {name: int(value or 0) for name, value in counts.row(0, named=True).items()}
    chosen = rows.filter(rows.matching).select("profile_id").order_by("profile_id").limit(sample)
    shown = tables.profiles.semi_join(chosen, "profile_id").order_by("profile_id")
    return Preview(
        count=number["matching"],
        total=number["total"],
        sample=engine.polars(shown),
        funnel=[(words(step), number[f"alone_{i}"], number[f"after_{i}"]) for i, step in enumerate(steps)],
        seconds=time.perf_counter() - started,
    )


def _steps(condition: Condition) -> list[Condition]:
    if isinstance(condition, AllOf):
        return condition.and_
    return condition.or_ if isinstance(condition, AnyOf) else [condition]


def _counts(rows: ir.Table, flags: list[str], *, any_of: bool) -> dict[str, ir.Value]:
    join = operator.or_ if any_of else operator.and_
    columns: dict[str, ir.Value] = {"total": rows.count(), "matching": rows.count(where=rows.matching)}
    for i, flag in enumerate(flags):
        columns[f"alone_{i}"] = rows.count(where=rows[flag])
        columns[f"after_{i}"] = rows.count(where=functools.reduce(join, [rows[f] for f in flags[: i + 1]]))
    return columns
