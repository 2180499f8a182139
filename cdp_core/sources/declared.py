"""Traits and properties of a mapping: which there are, and values of declared types, exact or refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from cdp_core.engine import json_lines
from cdp_core.sources.base import LINE
from cdp_core.sources.spec import ColumnValue, ConstantValue, MapSpec
from cdp_core.sources.times import time_columns
from cdp_core.sources.values import as_text

if TYPE_CHECKING:
    from cdp_core.engine import Staging

BUCKETS = ("traits", "properties")
YES = ["true", "t", "yes", "y", "1", "granted"]
NO = ["false", "f", "no", "n", "0", "denied"]


@dataclass(frozen=True, kw_only=True)
class Target:
    """One trait or property: where it comes from and its type (None: the column's own)."""

    name: str
    bucket: str
    column: str | None
    kind: str | None = None
    format: str | None = None
    value: object = None

    @property
    def typed(self) -> str:
        """The column that holds its values once they are of the declared type."""
        return f"_{self.bucket}.{self.name}"


@dataclass(frozen=True)
class Fault:
    """A way in which rows can be unfit: where it is so, the rule, the column, and what is said about it."""

    found: pl.Expr
    rule: str
    field: str
    said: str


def targets(spec: MapSpec, columns: list[str]) -> dict[str, list[Target]]:
    """Traits and properties of a mapping; without any, every column that is not otherwise used."""
    if spec.traits is None and spec.properties is None:
        used = spec.used()
        bucket = "traits" if spec.type in ("identify", "group") else "properties"
        taken = [Target(name=c, bucket=bucket, column=c) for c in columns if c not in used and c != LINE]
        return {**{b: [] for b in BUCKETS}, bucket: taken}
    return {b: [_target(b, name, value) for name, value in (getattr(spec, b) or {}).items()] for b in BUCKETS}


def _target(bucket: str, name: str, value: ColumnValue | ConstantValue) -> Target:
    if isinstance(value, ConstantValue):
        return Target(name=name, bucket=bucket, column=None, value=value.value)
    return Target(name=name, bucket=bucket, column=value.column, kind=value.type, format=value.format)


def declared(
    rows: pl.DataFrame, spec: MapSpec, buckets: Mapping[str, list[Target]], staging: Staging
) -> tuple[pl.DataFrame, list[Fault]]:
    """Columns of declared types (`Target.typed`) and times (`_time`, `_received_at`, `_sent_at`), and where a value
    does not fit."""
    wanted = [t for targets in buckets.values() for t in targets if t.kind is not None and t.column is not None]
    times, faults = _times(spec)
    times |= {t.typed: (str(t.column), t.format) for t in wanted if t.kind in ("date", "datetime")}
    found = time_columns(rows, times, spec.timezone, staging)
    found = found.with_columns(pl.col(t.typed).dt.date() for t in wanted if t.kind == "date")
    json = {t.typed: str(t.column) for t in wanted if t.kind == "json" and rows.schema[str(t.column)] == pl.String}
    casts = [
        cast(pl.col(str(t.column)), rows.schema[str(t.column)], str(t.kind)).alias(t.typed)
        for t in wanted
        if t.typed not in times and t.typed not in json
    ]
    others = rows.select(*casts, *(pl.col(column).alias(name) for name, column in json.items()))
    if json:
        sound = json_lines.valid(staging, others.select(list(json)))
        others = others.with_columns(pl.when(sound[name]).then(pl.col(name)).alias(name) for name in json)
    for target in wanted:
        rule = "map.time" if target.kind in ("date", "datetime") else "map.type"
        unfit = pl.col(str(target.column)).is_not_null() & pl.col(target.typed).is_null()
        said = f"column {target.column!r} holds a value that is no {target.kind}"
        faults.append(Fault(unfit, rule, str(target.column), said))
    return found.hstack(others) if found.width else others, faults


def _times(spec: MapSpec) -> tuple[dict[str, tuple[str, str | None]], list[Fault]]:
    times: dict[str, tuple[str, str | None]] = {}
    faults = []
    for name in ("time", "received_at", "sent_at"):
        column = getattr(spec, name)
        if column is None:
            continue
        times[f"_{name}"] = (column, spec.time_format if name == "time" else None)
        none = pl.col(f"_{name}").is_null()
        if name == "time":
            faults.append(Fault(none, "map.time", column, f"column {column!r} is blank or holds no time"))
        else:
            none = none & pl.col(column).is_not_null()
            faults.append(Fault(none, "map.time", column, f"column {column!r} holds no time"))
    return times, faults


def cast(column: pl.Expr, dtype: pl.DataType, kind: str) -> pl.Expr:
    """Exact or null: nothing is rounded and nothing guessed.

    >>> pl.DataFrame({"a": ["7", "7.0", "7.5"]}).select(cast(pl.col("a"), pl.String(), "integer"))["a"].to_list()
    [7, 7, None]
    """
    text = as_text(column, dtype).str.strip_chars()
    if kind == "integer":
        plain = text.str.replace(r"\.0+$", "")
        whole = pl.when(plain.str.contains(r"^[+-]?[0-9]+$")).then(plain.str.replace(r"^\+", ""))
        return whole.cast(pl.Int64, strict=False)
    if kind == "number":
        number = text.cast(pl.Float64, strict=False)
        return pl.when(number.is_finite() & text.str.contains("[0-9]")).then(number)
    if kind == "boolean":
        word = text.str.to_lowercase()
        return pl.when(word.is_in(YES)).then(True).when(word.is_in(NO)).then(False)
    return as_text(column, dtype)
