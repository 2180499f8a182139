"""Links between identifiers for measuring identity alone: so many people, each with a user_id, an e-mail and devices."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

MINUTES = 365 * 24 * 60
_START = datetime(2025, 1, 1)


def write(path: Path, *, links: int = 10_000_000, identifiers: int = 6_000_000, shared_every: int | None = 50) -> int:
    """Write so many rows of tables.IDENTITY_LINKS in random order; of every `shared_every` people (None: nobody) one
    writes down the e-mail of the one before. Gives the number of people.
    """
    rng = np.random.default_rng(1)
    people = identifiers // 4
    devices = identifiers - 2 * people
    person = np.arange(people)
    mail = person
    if shared_every:
        mail = np.where((person % shared_every == 0) & (person > 0), person - 1, person)
    owner = np.concatenate([person, rng.integers(0, people, devices - people)])
    rng.shuffle(owner)
    again = rng.permutation(devices)[: (links - people - devices) // 2]
    read = rng.permutation(devices)[: links - people - devices - len(again)]
    parts = [
        _links(rng, "crm", _user(person), _mail(mail)),
        _links(rng, "web", _user(owner), _device(np.arange(devices))),
        _links(rng, "app", _user(owner[again]), _device(again)),
        _links(rng, "letters", _mail(mail[owner[read]]), _device(read)),
    ]
    pl.concat(parts).sample(fraction=1, shuffle=True, seed=1).write_parquet(path)
    return people


def _user(number: np.ndarray) -> pl.DataFrame:
    return _named("user_id", number, "u" + pl.col("n").cast(pl.String).str.zfill(8))


def _mail(number: np.ndarray) -> pl.DataFrame:
    value = pl.format("person{}@mail{}.example.com", "n", pl.col("n") % 50)
    return _named("email", number, value)


def _device(number: np.ndarray) -> pl.DataFrame:
    """As long and as random as the UUIDs that browsers make."""
    spread = (pl.col("n").cast(pl.UInt64) * 0x9E3779B97F4A7C15).cast(pl.String).str.zfill(20)
    parts = [spread.str.slice(12, 8), pl.lit("5e1f-4c3a-9b7d"), spread.str.slice(0, 12)]
    return _named("anonymous_id", number, pl.concat_str(parts, separator="-"))


def _named(type_: str, number: np.ndarray, value: pl.Expr) -> pl.DataFrame:
    return pl.DataFrame({"n": pl.Series(number, dtype=pl.Int64)}).select(type=pl.lit(type_), value=value)


def _links(rng: np.random.Generator, source: str, left: pl.DataFrame, right: pl.DataFrame) -> pl.DataFrame:
    minute = pl.Series(rng.integers(0, MINUTES, left.height), dtype=pl.Int64)
    first = pl.lit(_START).cast(pl.Datetime("us")) + pl.duration(minutes=minute)
    return pl.concat(
        [left.rename(lambda c: f"left_{c}"), right.rename(lambda c: f"right_{c}")], how="horizontal"
    ).select(
        pl.all(),
        source=pl.lit(source),
        rule=pl.lit("same_event"),
        first_seen=first,
        last_seen=first + pl.duration(days=3),
        events=pl.Series(rng.integers(1, 20, left.height), dtype=pl.Int64),
    )
