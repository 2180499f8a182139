"""Orders: the real ones of CDNOW, or a history drawn from them for each of N people."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import polars as pl

from cdp_core.demo_world.draw import DAY, END, START, Ints, moment, numbered, repeat, stream
from cdp_core.errors import UsageError

PACKAGED = "cdnow.parquet"


@dataclass(frozen=True, kw_only=True)
class Orders:
    """Orders sorted by customer and day. `first` and `count` say which rows belong to a customer."""

    customer: Ints
    seconds: Ints
    cds: Ints
    dollars: pl.Series
    first: Ints
    count: Ints

    def frame(self, customer_ids: pl.Series) -> pl.DataFrame:
        """order_id, customer_id, ordered_on (UTC), cds, dollars; as a shop would store them, by time."""
        order = np.lexsort((self.customer, self.seconds))
        numbers = np.arange(1, len(order) + 1, dtype=np.int64)
        return pl.DataFrame(
            {
                "order_id": numbered("o", numbers, 7),
                "customer_id": customer_ids.gather(self.customer[order]),
                "ordered_on": moment(self.seconds[order]),
                "cds": pl.Series(self.cds[order]),
                "dollars": self.dollars.gather(order),
            }
        )


def read_cdnow(path: Path) -> pl.DataFrame:
    """customer (number from 0), day (since 1970), cds, dollars; from CDNOW_master.txt.

    Raises UsageError when the file is missing or has other columns.
    """
    try:
        lines = pl.scan_csv(path, has_header=False, separator="\x01", skip_rows=1, new_columns=["line"])
        fields = pl.col("line").str.extract_groups(r"^\s*(\d+)\s+(\d{8})\s+(\d+)\s+([\d.]+)\s*$")
        frame = (
            lines.select(fields.struct.rename_fields(["customer", "date", "cds", "dollars"])).unnest("line").collect()
        )
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UsageError("the real orders cannot be read", where=str(path), hint="give CDNOW_master.txt") from error
    if frame.height == 0 or frame["customer"].null_count():
        raise UsageError("this is not CDNOW_master.txt", where=str(path), choices=["customer date cds dollars"])
    return frame.select(
        (pl.col("customer").cast(pl.Int32).rank("dense") - 1).cast(pl.Int32).alias("customer"),
        pl.col("date").str.to_date("%Y%m%d").cast(pl.Int32).alias("day"),
        pl.col("cds").cast(pl.Int16),
        pl.col("dollars").cast(pl.Float64).round(2),
    ).sort("customer", "day", maintain_order=True)


def history(real_orders: Path | None) -> pl.DataFrame:
    """The real orders: the packaged ones, or those of a CDNOW_master.txt."""
    if real_orders is not None:
        return read_cdnow(real_orders)
    return pl.read_parquet((files("cdp_core.demo_world") / PACKAGED).read_bytes())


def draw_orders(real: pl.DataFrame, people: int | None, seed: int) -> Orders:
    """One real order history per person, in their own order, or drawn with replacement for `people` of them.

    A drawn history is moved by up to a week, as far as the eighteen months allow; gaps and amounts stay real.
    """
    rng = stream(seed, "orders")
    owner, day = real["customer"].to_numpy().astype(np.int64), real["day"].to_numpy().astype(np.int64)
    real_count = np.bincount(owner).astype(np.int64)
    real_first = np.cumsum(real_count) - real_count
    drawn = np.arange(len(real_count)) if people is None else rng.integers(0, len(real_count), people)
    customer, position = repeat(real_count[drawn])
    row = real_first[drawn][customer] + position
    days = day[row]
    if people is not None:
        room_before = day[real_first] - START // DAY
        room_after = END // DAY - 1 - day[real_first + real_count - 1]
        move = np.clip(rng.integers(-7, 8, people), -room_before[drawn], room_after[drawn])
        days = days + move[customer]
    count = real_count[drawn]
    return Orders(
        customer=customer,
        seconds=days * DAY + _time_of_day(rng, customer, days),
        cds=real["cds"].to_numpy().astype(np.int64)[row],
        dollars=real["dollars"].gather(row),
        first=np.cumsum(count) - count,
        count=count,
    )


def _time_of_day(rng: np.random.Generator, customer: Ints, days: Ints) -> Ints:
    """Seconds between 07:00 and 22:00, rising within a customer's day: orders of one day keep the order of the file."""
    seconds = rng.integers(7 * 3600, 22 * 3600, len(days))
    return seconds[np.lexsort((seconds, days, customer))]


def main() -> None:
    """Write the packaged Parquet from CDNOW_master.txt: python -m cdp_core.demo_world.orders CDNOW_master.txt"""
    import sys

    target = Path(__file__).with_name(PACKAGED)
    read_cdnow(Path(sys.argv[1])).write_parquet(target, compression="zstd", compression_level=19)


if __name__ == "__main__":
    main()
