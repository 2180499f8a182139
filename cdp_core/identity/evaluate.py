"""How right a resolution is, measured against who is known to be who."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from cdp_core.errors import UsageError

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.engine import Engine


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Shares are 0 to 1 over pairs of records (b3_f1: over records, B-cubed).

    `wrong_merges` counts profiles that hold records of more than one person, `missing` the records without a profile;
    each of those stands alone.
    """

    precision: float
    recall: float
    f1: float
    b3_f1: float
    wrong_merges: int
    records: int
    missing: int

    def to_dict(self) -> dict[str, Any]:
        """What `cdp identity evaluate --output json` prints."""
        return asdict(self)


def evaluate(engine: Engine, events: ir.Table, event_profiles: ir.Table, truth: pl.DataFrame) -> Evaluation:
    """Compare profiles with `truth` (source, record, person; a record once). Raises UsageError when truth is unfit.

    The record of an event is its record_id, else its anonymous_id, else its user_id. A record whose events fell into
    several profiles counts for the one with most of them (ties: the smallest id).
    """
    if truth.is_empty() or truth.select("source", "record").is_duplicated().any():
        raise UsageError("the truth must have rows, and every source and record once", choices=truth.columns)
    shown = engine.polars(_shown(engine, events, event_profiles, truth))
    joined = truth.join(shown, on=["source", "record"], how="left").with_row_index("row")
    missing = joined["profile_id"].null_count()
    alone = pl.format("alone {}", "row")
    return score(joined.select("person", cluster=pl.coalesce("profile_id", alone)), missing=missing)


def _shown(engine: Engine, events: ir.Table, event_profiles: ir.Table, truth: pl.DataFrame) -> ir.Table:
    import ibis

    record = ibis.coalesce(events.record_id, events.anonymous_id, events.user_id)
    wanted = engine.frame(truth.select(pl.col("source", "record").cast(pl.String)))
    told = events.select("source", "message_id", record=record).semi_join(wanted, ["source", "record"])
    told = told.join(event_profiles, ["source", "message_id"])
    counted = told.group_by(["source", "record", "profile_id"]).agg(events=told.count())
    order = [counted.events.desc(), counted.profile_id]
    place = ibis.row_number().over(ibis.window(group_by=["source", "record"], order_by=order))
    return counted.mutate(place=place).filter(lambda t: t.place == 0).select("source", "record", "profile_id")


def score(records: pl.DataFrame, *, missing: int = 0) -> Evaluation:
    """The figures for records with `person` and `cluster`, from the sizes of the intersections alone.

    >>> score(pl.DataFrame({"person": ["a", "a", "b"], "cluster": [1, 1, 1]})).precision
    0.3333333333333333
    """
    both = records.group_by("person", "cluster").agg(n=pl.len().cast(pl.Int64))
    both = both.with_columns(of_person=pl.col("n").sum().over("person"), of_cluster=pl.col("n").sum().over("cluster"))
    right, together, same = (_pairs(both, by) for by in (["person", "cluster"], ["cluster"], ["person"]))
    precision, recall = _share(right, together), _share(right, same)
    b3_precision, b3_recall = (
        both.select((pl.col("n") * pl.col("n") / pl.col(size)).sum() / pl.col("n").sum()).item()
        for size in ("of_cluster", "of_person")
    )
    return Evaluation(
        precision=precision,
        recall=recall,
        f1=_harmonic(precision, recall),
        b3_f1=_harmonic(b3_precision, b3_recall),
        wrong_merges=both.group_by("cluster").len().filter(pl.col("len") > 1).height,
        records=records.height,
        missing=missing,
    )


def _pairs(both: pl.DataFrame, by: list[str]) -> int:
    size = pl.col("n")
    return int(both.group_by(by).agg(size.sum()).select((size * (size - 1) // 2).sum()).item())


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 1.0


def _harmonic(a: float, b: float) -> float:
    return 2 * a * b / (a + b) if a + b else 0.0
