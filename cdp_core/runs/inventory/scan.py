"""The scan: values by field, few of them looked at, what they are said. No value leaves this module."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from cdp_core.privacy import names, presidio
from cdp_core.privacy.judge import Found, Surroundings, judge, part_of_address
from cdp_core.runs.inventory import read
from cdp_core.runs.inventory.drawn import BUDGET, near

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import polars as pl

    from cdp_core.engine import Engine

SAMPLE = 1_000
"""Different values of a field that are looked at."""
LONGEST = 600
"""Of a longer text the beginning is looked at."""
_NAMES = ("name", "firstname", "lastname", "surname", "forename", "fullname")
_PEOPLE_IN = ("traits", "first_name", "last_name", read.QUARANTINE)


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field of a source or a table. Times are UTC; `values` is how many rows have one (about as many, where not
    every row was read), `different` how many different ones were looked at, `said` the calls that carry it.
    """

    source: str
    place: str
    values: int = 0
    different: int = 0
    first_seen: datetime | None = None
    last_seen: datetime | None = None
    said: tuple[str, ...] = ()
    found: tuple[Found, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.source}.{self.place}"


@dataclass(frozen=True, kw_only=True)
class Scan:
    """All fields, sorted by source and place. `looked_at` of `rows` rows were read; `notes` say what was not done."""

    fields: tuple[Field, ...]
    rows: int
    looked_at: int
    notes: tuple[str, ...] = ()


def scan(engine: Engine, *, region: str, today: date, budget: int = BUDGET) -> Scan:
    """Look through the whole lake: bounded by `budget` rows of a table and `SAMPLE` different values of a field."""
    with near(engine) as (here, bring):
        parts = read.Reader(engine=engine, here=here, bring=bring, budget=budget).all()
        values = [here.keep(_different(part.values)) for part in parts if part.values]
        rows = _joined([here.polars(_counts(each)) for each in values], [_looked_at(here, each) for each in values])
    around = Surroundings(region=region, today=today, people=_people(rows))
    helper = presidio.helper()
    beside: dict[str, list[str]] = {}
    for row in rows:
        parent, _, last = f"{row['source']}.{row['place']}".rpartition(".")
        beside.setdefault(parent, []).append(last)
    found = [_field(row, around, helper, beside) for row in rows]
    return Scan(
        fields=tuple(sorted(found, key=lambda each: (each.source, each.place))),
        rows=sum(part.rows for part in parts),
        looked_at=sum(part.looked_at for part in parts),
        notes=(helper.note,) if helper is not None and helper.note else (),
    )


def _different(tables: Sequence[ir.Table]) -> ir.Table:
    """Equal texts of a field become one row with their number; blanks are no values."""
    import ibis

    rows = ibis.union(tables[0], *tables[1:]) if len(tables) > 1 else tables[0]
    rows = rows.mutate(text=rows.text.substr(0, LONGEST).strip()).filter(lambda t: t.text != "")
    return rows.group_by(["source", "place", "said", "text"]).agg(
        values=rows["weight"].sum().cast("int64"), first=rows["at"].min(), last=rows["at"].max()
    )


def _counts(values: ir.Table) -> ir.Table:
    return values.group_by(["source", "place", "said"]).agg(
        values=values["values"].sum().cast("int64"), first=values["first"].min(), last=values["last"].max()
    )


def _looked_at(engine: Engine, values: ir.Table) -> pl.DataFrame:
    """Different texts of each field, the same ones in every scan."""
    import ibis

    texts = values.select("source", "place", "text").distinct()
    order = [engine.digest(texts.place, texts.text), texts.text]
    number = ibis.row_number().over(group_by=[texts.source, texts.place], order_by=order)
    return engine.polars(texts.mutate(number=number).filter(lambda t: t.number < SAMPLE).drop("number"))


def _joined(counted: Sequence[pl.DataFrame], texts: Sequence[pl.DataFrame]) -> list[dict[str, Any]]:
    """One row per field: source, place, values, first, last, said, and text as a list."""
    import polars as pl

    if not counted:
        return []
    fields = (
        pl.concat(counted, how="vertical_relaxed")
        .group_by("source", "place")
        .agg(pl.col("values").sum(), pl.col("first").min(), pl.col("last").max(), pl.col("said").unique().sort())
    )
    known = pl.concat(texts, how="vertical_relaxed").group_by("source", "place").agg("text")
    return fields.join(known, on=["source", "place"], how="left").rows(named=True)


def _field(row: dict[str, Any], around: Surroundings, helper: presidio.Helper | None, beside: Any) -> Field:
    values = row["text"] or []
    found = judge(row["place"], values, around)
    if not found and (
        part := part_of_address(row["place"], beside[f"{row['source']}.{row['place']}".rpartition(".")[0]])
    ):
        found = [part]
    if helper is not None:
        found = helper.add(found, values)
    return Field(
        source=row["source"],
        place=row["place"],
        values=row["values"],
        different=len(values),
        first_seen=row["first"],
        last_seen=row["last"],
        said=tuple(one for one in row["said"] if one),
        found=tuple(found),
    )


def _people(rows: Sequence[dict[str, Any]]) -> frozenset[str]:
    """Words of first and last names, as traits of that name hold them: this workspace's own, from no list of others."""
    found: set[str] = set()
    for row in rows:
        if row["place"].split(".")[0] in _PEOPLE_IN and names.term_of_place(row["place"]) in _NAMES:
            found |= {part.lower() for text in row["text"] or [] for part in text.split()[:4] if len(part) > 2}
    return frozenset(part for part in found if part.isalpha())
