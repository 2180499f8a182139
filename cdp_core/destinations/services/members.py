"""What audiences of ad platforms share: rows become hashed members, and what a member no longer is, is found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from cdp_core.destinations.hashing import FIELDS, normalised
from cdp_core.destinations.hashing.places import countries
from cdp_core.errors import DestinationError

if TYPE_CHECKING:
    import polars as pl

KEY = "__key"


class MemberOptions(BaseModel):
    """`region` is where phone numbers and post codes are from whose row names no country; nothing is guessed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    audience_id: str = Field(pattern=r"^[0-9]{1,30}$", description="Number of the audience")
    region: str | None = Field(None, description="Two letters (ISO 3166-1) for rows without a country")
    date_order: Literal["mdy", "dmy"] | None = Field(None, description="Of birth dates like 2/3/1997")

    @field_validator("audience_id", mode="before")
    @classmethod
    def _number(cls, number: object) -> object:
        return str(number) if isinstance(number, int) else number

    @field_validator("region")
    @classmethod
    def _known(cls, region: str | None) -> str | None:
        if region is not None and region.upper() not in set(countries().values()):
            raise ValueError("two letters of ISO 3166-1 are wanted, such as US")
        return region


@dataclass(frozen=True)
class Members:
    """`values`: one column per field and the key, null where blank; `reasons`: the same columns, why."""

    values: pl.DataFrame
    reasons: pl.DataFrame


def checked_fields(platform: str, fields: list[str], key: str, *, where: str) -> list[str]:
    """The mapped fields that the platform has; a key of another name only identifies.

    Raises DestinationError for any other field.
    """
    known = FIELDS[platform]
    for field in fields:
        if field not in known and field != key:
            raise DestinationError(f"there is no field {field!r}", where=where, choices=list(known))
    return [field for field in fields if field in known]


def members(platform: str, rows: pl.DataFrame, key: str, fields: list[str], options: MemberOptions) -> Members:
    """Every row's identifiers as the platform wants them."""
    import polars as pl

    country = next((rows[name] for name in ("COUNTRY", "region_code") if name in fields), None)
    values, reasons = {KEY: rows[key].cast(pl.String)}, {}
    for field in fields:
        told = normalised(
            rows[field], platform, field, region=options.region, country=country, date_order=options.date_order
        )
        values[field], reasons[field] = told["value"], told["reason"]
    return Members(pl.DataFrame(values), pl.DataFrame(reasons))


def decoded(texts: pl.Series, like: pl.DataFrame) -> pl.DataFrame:
    """Rows from their JSON text, with the columns of `like`; numbers are read as the numbers they are there."""
    import polars as pl

    text = pl.col("row")
    columns = []
    for name, dtype in like.schema.items():
        path = "$[" + _quoted(name) + "]"
        value = text.str.json_path_match(path)
        columns.append((value.cast(dtype, strict=False) if dtype.is_numeric() else value).alias(name))
    return texts.alias("row").to_frame().select(columns)


def blank(made: Members, fields: list[str]) -> dict[str, str]:
    """Rows without any of these identifiers, with the reason for each of them."""
    import polars as pl

    empty = made.values.select(pl.all_horizontal(pl.col(f).is_null() for f in fields)).to_series()
    why = pl.concat_str([pl.lit(f + ": ") + pl.col(f) for f in fields], separator=", ")
    told = made.reasons.select(pl.lit("nothing to match by (") + why + pl.lit(")")).to_series()
    return dict(zip(made.values[KEY].filter(empty), told.filter(empty), strict=True))


def gone(before: Members, now: Members, fields: list[str]) -> pl.DataFrame:
    """What `before` held and `now` does not, row by row; rows that lost nothing are not in it."""
    import polars as pl

    lost = [
        pl.when(old.ne_missing(new)).then(old).alias(field)
        for field in fields
        for old, new in [(pl.col(field), pl.col(f"{field}__now"))]
    ]
    both = before.values.with_columns(now.values[field].alias(f"{field}__now") for field in fields)
    return both.select(KEY, *lost).filter(pl.any_horizontal(pl.col(f).is_not_null() for f in fields))


def from_text(texts: pl.Series, fields: Mapping[str, str]) -> pl.DataFrame:
    """Rows from their JSON text; `fields` are those of the Delivery."""
    import polars as pl

    kinds = {"int64": pl.Int64(), "float64": pl.Float64()}
    return decoded(texts, pl.DataFrame(schema={name: kinds.get(kind, pl.String()) for name, kind in fields.items()}))


def identified(made: Members, fields: list[str]) -> pl.DataFrame:
    """`key` and `identifier`, one line for each of these fields that is not blank."""
    import polars as pl

    each = [made.values.select(key=KEY, identifier=_named(field)) for field in fields]
    return pl.concat(each).drop_nulls("identifier")


def unshared(values: pl.DataFrame, fields: list[str], wanted: pl.Series | None) -> pl.DataFrame:
    """Without the identifiers that others have too, and without rows of which nothing is left."""
    import polars as pl

    if wanted is not None:
        taken = [pl.when(~_named(f).is_in(wanted.implode())).then(pl.col(f)).alias(f) for f in fields]
        values = values.with_columns(taken)
    return values.filter(pl.any_horizontal(pl.col(f).is_not_null() for f in fields))


def sharing(values: pl.DataFrame, fields: list[str], wanted: pl.Series | None) -> pl.Series:
    """Row by row, whether any of its identifiers is another's too."""
    import polars as pl

    if wanted is None:
        return pl.Series([False]).new_from_index(0, values.height)
    shared = pl.any_horizontal(_named(f).is_in(wanted.implode()).fill_null(False) for f in fields)
    return values.select(shared).to_series()


def _named(field: str) -> pl.Expr:
    import polars as pl

    return pl.lit(f"{field}:") + pl.col(field)


def _quoted(name: str) -> str:
    import json

    return json.dumps(name, ensure_ascii=False)
