"""How people and clerks write things: typing errors, phone formats, stray capitals and blanks. All set-wise."""

from __future__ import annotations

import numpy as np
import polars as pl

from cdp_core.demo_world.draw import Bools, chance, choose


def when(mask: Bools, then: pl.Series | str | None, otherwise: pl.Series) -> pl.Series:
    """`then` where the mask holds, else `otherwise`."""
    if not isinstance(then, pl.Series):
        then = pl.Series([then], dtype=pl.String).new_from_index(0, len(otherwise))
    return then.zip_with(pl.Series(mask), otherwise)


def typing_errors(rng: np.random.Generator, names: pl.Series, mask: Bools) -> pl.Series:
    """Where the mask holds: a letter left out, typed twice, or swapped with its neighbour."""
    size = len(names)
    at = pl.Series((rng.random(size) * (names.str.len_chars().to_numpy() - 2)).astype(np.int64) + 1)
    kind = choose(rng, size, [0.4, 0.3, 0.3])
    frame = pl.DataFrame({"name": names, "at": at, "kind": kind})
    name, position = pl.col("name"), pl.col("at")
    before, letter = name.str.slice(0, position), name.str.slice(position, 1)
    neighbour, after = name.str.slice(position + 1, 1), name.str.slice(position + 2)
    wrong = (
        pl.when(pl.col("kind") == 0).then(before + neighbour + after)
        .when(pl.col("kind") == 1).then(before + letter + letter + neighbour + after)
        .otherwise(before + neighbour + letter + after)
    )  # fmt: skip
    return when(mask, frame.select(wrong=wrong)["wrong"], names)


def phone_formats(rng: np.random.Generator, digits: pl.Series) -> pl.Series:
    """Ten digits as people write them: (415) 555-0134, 415.555.0134, +1 415 555 0134 …"""
    kind = choose(rng, len(digits), [0.3, 0.25, 0.15, 0.12, 0.1, 0.08])
    frame = pl.DataFrame({"digits": digits, "kind": kind})
    number = pl.col("digits")
    area, exchange, line = number.str.slice(0, 3), number.str.slice(3, 3), number.str.slice(6, 4)
    written = (
        pl.when(pl.col("kind") == 0).then(pl.format("({}) {}-{}", area, exchange, line))
        .when(pl.col("kind") == 1).then(pl.format("{}-{}-{}", area, exchange, line))
        .when(pl.col("kind") == 2).then(pl.format("{}.{}.{}", area, exchange, line))
        .when(pl.col("kind") == 3).then(pl.format("+1 {} {} {}", area, exchange, line))
        .when(pl.col("kind") == 4).then(number)
        .otherwise(pl.format("1-{}-{}-{}", area, exchange, line))
    )  # fmt: skip
    return frame.select(written=written)["written"]


def email_styles(rng: np.random.Generator, emails: pl.Series, share: float = 0.1) -> pl.Series:
    """Some with capitals, some with a blank at an end."""
    odd = chance(rng, len(emails), share)
    kind = choose(rng, len(emails), [0.4, 0.3, 0.2, 0.1])
    frame = pl.DataFrame({"email": emails, "kind": kind})
    email = pl.col("email")
    styled = (
        pl.when(pl.col("kind") == 0).then(email.str.to_titlecase())
        .when(pl.col("kind") == 1).then(email.str.to_uppercase())
        .when(pl.col("kind") == 2).then(email + " ")
        .otherwise(" " + email)
    )  # fmt: skip
    return when(odd, frame.select(styled=styled)["styled"], emails)
