"""Anomalies: days unlike those before, and one series with what is usual around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cdp_core as cdp
from cdp_core.dashboard import formatting as f
from cdp_core.privacy import masking

if TYPE_CHECKING:
    import polars as pl

KINDS = {
    "volume": "Volume",
    "missing": "Missing fields",
    "violations": "Violations",
    "new_values": "New values",
}
SERIES = ("kind", "source", "event", "field")


def series(ws: cdp.Workspace) -> pl.DataFrame:
    """Every series by day, as `ws.anomalies.series()` gives it."""
    return ws.anomalies.series()


def enough(rows: pl.DataFrame) -> bool:
    """Whether any day could be compared with those before it."""
    return bool(rows["z"].is_not_null().any())


def found(rows: pl.DataFrame, reveal: bool) -> pl.DataFrame:
    """The anomalies, newest first: day, what (with the new values, masked), kind, z, and which series: source, event,
    field."""
    import polars as pl

    odd = rows.filter("anomaly").sort(pl.col("day"), pl.col("z").abs(), *SERIES, descending=[True, True, *[False] * 4])
    told = [
        f"{row['what']}: {', '.join(_shown(row['values'], row['field'], reveal))}" if row["values"] else row["what"]
        for row in odd.iter_rows(named=True)
    ]
    return odd.select("day", pl.Series("what", told, dtype=pl.String), "kind", "z", "source", "event", "field")


def _shown(values: list[str], field: str, reveal: bool) -> list[str]:
    name = field.partition(".")[2] or field
    return values if reveal else [masking.mask(value, name) or "" for value in values]


@dataclass(frozen=True)
class Chosen:
    """One series; what has none of them is None."""

    kind: str
    source: str
    event: str | None
    field: str | None


def options(rows: pl.DataFrame, name: str, **chosen: str | None) -> list[str]:
    """What a column of the series may be, given the columns chosen before it."""
    import polars as pl

    for column, value in chosen.items():
        rows = rows.filter(pl.col(column).eq_missing(pl.lit(value)))
    names = rows[name].drop_nulls().unique().sort().to_list()
    return [kind for kind in KINDS if kind in names] if name == "kind" else names


def one(rows: pl.DataFrame, chosen: Chosen) -> pl.DataFrame:
    """The days of one series for the chart, with the texts of its tooltip (see `charts.days_in_band`)."""
    import polars as pl

    for column in SERIES:
        rows = rows.filter(pl.col(column).eq_missing(pl.lit(getattr(chosen, column), pl.String)))
    rows = rows.sort("day")
    texts = [_texts(row) for row in rows.iter_rows(named=True)]
    told = pl.DataFrame(texts, schema=dict.fromkeys(("seen", "range", "compared"), pl.String), orient="row")
    return rows.select("day", "value", "low", "high", "usual", "anomaly").hstack(told)


def _texts(row: dict[str, object]) -> tuple[str, str, str]:
    count, total = float(str(row["count"])), row["total"]
    share = row["kind"] in ("missing", "violations")
    if share:
        seen = f"{f.percent(float(str(row['value'])))} of {f.number(round(float(str(total))))} events"
    elif row["kind"] == "new_values":
        seen = f"{f.number(count)} of {f.number(round(float(str(total))))} events with a new value"
    else:
        seen = f.plural(round(count), "event") + (" so far" if row["unfinished"] else "")
    if row["high"] is None:
        return seen, "not enough history", "–"
    low, high = float(str(row["low"])), float(str(row["high"]))
    if share:
        text = f"at most {f.percent(high)}"
    elif row["kind"] == "new_values":
        text = f"at most {int(high)}"
    else:
        text = f"{-int(-low // 1):,} to {int(high):,}"
    return seen, text, f"{row['days']} days"
