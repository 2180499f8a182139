"""How far a day is from those before it: a robust z-score by weekday.

A count x becomes 2·√(x + 3/8), a share x of n becomes asin √((x + 3/8) / (n + 3/4)): on these scales the deviation of
pure chance is known whatever the size, 1 and 1 / (2·√(n + 1/2)) (Anscombe 1948, "The transformation of Poisson,
binomial and negative-binomial data"). Then z = (t - median) / max(1.4826 · MAD, chance): Iglewicz and Hoaglin 1993,
"How to detect and handle outliers", with chance as the floor, so that a history without any spread is no trap.

The median is that of the same weekday in the eight weeks before, at least four of them; else of all of the last 28
days, at least seven; else a day is not judged. The MAD is that of all days of that time around their weekday's median:
eight days alone would give far too small a one too often. What was anomalous before shifts neither.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

WEEKS, LEAST_WEEKS = 8, 4
DAYS, LEAST_DAYS = 28, 14
LOOKBACK = 7 * WEEKS
_NORMAL = 1.4826
"""Makes the MAD of a normal distribution its standard deviation."""
_MEDIAN = 1.5708
"""The variance of a median of n is about this, divided by n, of one value's: pi / 2."""


def judge(series: pl.DataFrame, *, first: date, last: date, threshold: float) -> pl.DataFrame:
    """The days from `first` to `last` of every series, judged.

    `series` has `series` (a number), day, count, and total (null where the count is no share). Columns added: usual,
    low and high (what is within the threshold; counts, or shares of one), z, and days (that it was compared with).
    All are null where there is too little history.
    """
    import polars as pl

    rows = series.with_columns(scaled=_scaled(pl.col("count"), pl.col("total")))
    judged = rows.filter(pl.col("day").is_between(first, last))
    compared = judged.join(_centres(rows, judged), on=["series", "day"], how="left")
    chance = pl.when(pl.col("total").is_null()).then(1.0).otherwise(0.5 / (pl.col("total") + 0.5).sqrt())
    spread = pl.max_horizontal(pl.col("mad") * _NORMAL, chance)
    deviation = spread * (1 + _MEDIAN / pl.col("days")).sqrt()
    compared = compared.with_columns(z=(pl.col("scaled") - pl.col("centre")) / deviation)
    reach = threshold * deviation
    return compared.with_columns(
        usual=_plain(pl.col("centre"), pl.col("total")),
        low=_plain(pl.col("centre") - reach, pl.col("total")),
        high=_plain(pl.col("centre") + reach, pl.col("total")),
    ).drop("scaled", "centre", "mad")


def _scaled(count: pl.Expr, total: pl.Expr) -> pl.Expr:
    import polars as pl

    share = ((count + 0.375) / (total + 0.75)).sqrt().arcsin()
    return pl.when(total.is_null()).then(2 * (count + 0.375).sqrt()).otherwise(share)


def _plain(scaled: pl.Expr, total: pl.Expr) -> pl.Expr:
    """The count, or the share of one, that a scaled value stands for."""
    import polars as pl

    count = (scaled.clip(lower_bound=0) / 2) ** 2 - 0.375
    share = (scaled.clip(0, 1.5707963).sin() ** 2 * (total + 0.75) - 0.375) / total
    return pl.when(total.is_null()).then(count.clip(lower_bound=0)).otherwise(share.clip(0, 1))


def _centres(rows: pl.DataFrame, judged: pl.DataFrame) -> pl.DataFrame:
    """Per judged day: centre, mad, and days."""
    import polars as pl

    lags = pl.DataFrame({"lag": range(1, LOOKBACK + 1)}, schema={"lag": pl.Int64})
    past = judged.select("series", "day").join(lags, how="cross")
    past = past.with_columns(
        before=pl.col("day") - pl.duration(days=pl.col("lag")), weekday=pl.col("lag") % 7, recent=pl.col("lag") <= DAYS
    )
    known = rows.select("series", "scaled", before="day")
    past = past.join(known, on=["series", "before"]).with_columns(
        same=pl.col("scaled").median().over("series", "day", "weekday"),
        weeks=pl.len().over("series", "day", "weekday"),
        every=pl.col("scaled").filter(pl.col("recent")).median().over("series", "day"),
    )
    whole = pl.col("weeks") >= LEAST_WEEKS
    away = (pl.col("scaled") - pl.col("same")).abs() * (pl.col("weeks") / (pl.col("weeks") - _MEDIAN)).sqrt()
    today = pl.col("weekday") == 0
    found = past.group_by("series", "day").agg(
        weeks=today.sum(),
        of_weekday=pl.col("same").filter(today).first(),
        weekly=away.filter(whole).median(),
        recent=pl.col("recent").sum(),
        of_all=pl.col("every").first(),
        daily=(pl.col("scaled") - pl.col("every")).abs().filter(pl.col("recent")).median(),
    )
    by_week, by_day = pl.col("weeks") >= LEAST_WEEKS, pl.col("recent") >= LEAST_DAYS

    def chosen(week: str, day: str) -> pl.Expr:
        return pl.when(by_week).then(pl.col(week)).when(by_day).then(pl.col(day))

    return found.select(
        "series",
        "day",
        centre=chosen("of_weekday", "of_all"),
        mad=chosen("weekly", "daily"),
        days=chosen("weeks", "recent").cast(pl.Int64),
    )
