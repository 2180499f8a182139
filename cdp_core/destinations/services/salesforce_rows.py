"""Between rows and Salesforce: CSV, SOQL literals, ids of records, and what became of each row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from cdp_core.destinations.base import SendResult
from cdp_core.destinations.services.salesforce_bulk import Outcome, row_error
from cdp_core.errors import DestinationError

JOB_BYTES = 12_000_000
"""Salesforce takes 100 MB (150 MB in base64), but tells what it refused in one answer, rows and errors in full."""
FIELD_CHARACTERS = 32_000
RECORD_CHARACTERS = 400_000
NULL = "#N/A"
NUMBERS = ("int", "double", "currency", "percent", "long")
QUERY_KEYS = 200
QUERY_BYTES = 6_000
"""Of a query in an address: 16,384 bytes are the limit, headers included."""
_WELL_FORMED = {"id": r"^[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?$", **dict.fromkeys(NUMBERS, r"^-?[0-9]+(?:\.[0-9]+)?$")}
NO_RECORD = "no record has this key"
TWO_RECORDS = "more than one record has this key"
UNPROCESSED = "the job ended before this row"


def text(name: str, kind: pl.DataType) -> pl.Expr:
    """A column as Salesforce reads it: UTC times with a Z, lists with semicolons, an empty text as no value.

    A checkbox knows no third state, so an absent boolean is false.
    """
    value = pl.col(name)
    if isinstance(kind, pl.List):
        return value.list.drop_nulls().list.join(";").replace("", None).alias(name)
    if isinstance(kind, pl.Datetime):
        return value.dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").alias(name)
    if kind == pl.Boolean:
        return value.fill_null(False).cast(pl.String).alias(name)
    if kind.is_float():
        value = value.fill_nan(None)
        return pl.when(value.is_finite()).then(value).otherwise(None).cast(pl.String).alias(name)
    return value.cast(pl.String).replace("", None).alias(name)


def csv(rows: pl.DataFrame) -> bytes:
    """With a header, LF and #N/A for no value: an empty cell would leave the old value there.

    >>> csv(pl.DataFrame({"K": ["a,b"], "N": [None]}, schema={"K": pl.String, "N": pl.Int64}))
    b'K,N\\n"a,b",#N/A\\n'
    """
    return rows.select(text(n, k) for n, k in rows.schema.items()).write_csv(null_value=NULL).encode()


def refused(rows: pl.DataFrame, key: str) -> dict[Any, str]:
    """Rows that Salesforce would not take, or not as they are, with the reason."""
    tests: list[pl.Expr] = []
    for name, kind in rows.schema.items():
        if isinstance(kind, pl.List):
            split = pl.col(name).list.eval(pl.element().str.contains(";", literal=True)).list.any()
            tests.append(_reason(split, f"an entry of {name} holds a semicolon, which Salesforce reads as two"))
    texts = {name: text(name, kind) for name, kind in rows.schema.items()}
    for name, value in texts.items():
        tests.append(_reason(value == NULL, f"{name} holds {NULL}, which Salesforce reads as no value"))
        long = value.str.len_chars() > FIELD_CHARACTERS
        tests.append(_reason(long, f"{name} is longer than {FIELD_CHARACTERS:,} characters"))
    whole = pl.sum_horizontal(v.str.len_chars().fill_null(0) for v in texts.values()) > RECORD_CHARACTERS
    tests.append(_reason(whole, f"the row is longer than {RECORD_CHARACTERS:,} characters"))
    found = rows.select(key=pl.col(key), reason=pl.coalesce(tests)).filter(pl.col("reason").is_not_null())
    return dict(zip(found["key"], found["reason"], strict=True))


def _reason(test: pl.Expr, words: str) -> pl.Expr:
    return pl.when(test).then(pl.lit(words))


def without(rows: pl.DataFrame, key: str, keys: list[Any]) -> pl.DataFrame:
    return rows.filter(~pl.col(key).is_in(pl.Series(keys, dtype=rows[key].dtype).implode())) if keys else rows


def literals(keys: pl.Series, kind: str, *, most: int = QUERY_BYTES) -> list[str]:
    """Lists of SOQL literals for a field of a type, each short enough for an address with `most` bytes of them.

    Keys that the type cannot hold are left out: no record has them, and as numbers they would stand there unquoted.

    >>> literals(pl.Series(["a'b", "c"]), "string"), literals(pl.Series(["7", "1) OR (Id != null"]), "double")
    (["'a\\\\'b','c'"], ['7'])
    """
    words = keys.cast(pl.String).unique(maintain_order=True)
    if form := _WELL_FORMED.get(kind):
        words = words.filter(words.str.contains(form))
    if kind not in NUMBERS:
        words = "'" + words.str.replace_all("\\", "\\\\", literal=True).str.replace_all("'", "\\'", literal=True) + "'"
    sized = words.alias("word").to_frame().with_columns(size=pl.col("word").str.len_bytes() * 3 + 3)
    room = (most - pl.col("size").max()).clip(1)
    parted = sized.with_columns(part=(pl.col("size").cum_sum() - pl.col("size")) // room)
    parted = parted.with_columns(nth=pl.int_range(pl.len()).over("part") // QUERY_KEYS)
    return parted.group_by("part", "nth", maintain_order=True).agg(pl.col("word").str.join(","))["word"].to_list()


def records(found: list[dict[str, Any]], keys: pl.Series, kind: str) -> pl.DataFrame:
    """Id and key of the records whose key is exactly one of `keys`: SOQL compares without regard to case.

    Ids have 15 letters, or the same and 3 more; they are given as they stand in `keys`.
    """
    name = keys.name
    word = pl.Float64 if kind in NUMBERS else pl.String
    told = pl.DataFrame(
        [{"Id": r.get("Id"), "word": r.get(name)} for r in found], schema={"Id": pl.String, "word": word}
    )
    wanted = pl.DataFrame({name: keys, "word": keys.cast(pl.String).cast(word, strict=False)})
    if name == "Id":
        short = pl.col("word").str.slice(0, 15)
        return wanted.with_columns(short).join(told.with_columns(short), on="word", how="semi").select("Id")
    return told.join(wanted, on="word", how="inner").select("Id", name)


def twice(keys: pl.Series, ids: pl.DataFrame) -> dict[Any, str]:
    return dict.fromkeys(ids.filter(pl.col(keys.name).is_duplicated())[keys.name].unique(), TWO_RECORDS)


def unclear(keys: pl.Series, ids: pl.DataFrame) -> dict[Any, str]:
    """Keys that no record has, or more than one."""
    missing = keys.filter(~keys.is_in(ids[keys.name].implode()))
    return {**dict.fromkeys(missing, NO_RECORD), **twice(keys, ids)}


def with_ids(rows: pl.DataFrame, key: str, ids: pl.DataFrame) -> pl.DataFrame:
    """Rows of which one record is known, with its Id."""
    once = ids.filter(~pl.col(key).is_duplicated())
    return rows.join(once, on=key, how="semi" if key == "Id" else "inner")


def settled(rows: pl.DataFrame, key: str, column: str, outcome: Outcome) -> SendResult:
    """What became of each row; rows are known by `column` of the job."""
    failed, taken = outcome.failed, outcome.taken
    names = pl.DataFrame({"word": rows[column].cast(pl.String), "key": rows[key]})
    known = set(rows.columns)
    refused: dict[Any, str] = {}
    later: dict[Any, str] = {}
    if failed.height:
        mark = pl.col(column) if column in failed.columns else pl.col("sf__Id")
        told = failed.select(word=mark, error=pl.col("sf__Error").fill_null("")).join(names, on="word")
        if told.height != failed.height:
            what = f"{failed.height - told.height} of the rows it refused cannot be told by {column}"
            raise DestinationError(what, where="salesforce", hint="look at the job in Salesforce: Bulk Data Load Jobs")
        for one, message in told.select("key", "error").iter_rows():
            reason, again = row_error(message, known)
            (later if again else refused)[one] = reason
    if taken is not None:
        mark_there = "sf__Id" if column not in taken.columns else column
        written = taken[mark_there] if taken.height else pl.Series(dtype=pl.String)
        left = names.filter(~pl.col("word").is_in(written.implode()))["key"]
        reason = f"{UNPROCESSED}: {outcome.error}" if outcome.error else UNPROCESSED
        later |= {one: reason for one in left if one not in refused and one not in later}
    return SendResult(refused, later)


def check_fields(
    described: Mapping[str, Mapping[str, Any]], fields: set[str], key: str, operation: str, *, where: str
) -> None:
    """Raises DestinationError for fields that are not there or may not be written, and for a key that finds nothing.

    Fields of a parent (Account.Number__c) are left to Salesforce.
    """
    own = {name for name in fields if "." not in name}
    if unknown := sorted(own - set(described)):
        import difflib

        near = difflib.get_close_matches(unknown[0], described, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "API names are wanted (Birth_Date__c, not Birth Date)"
        raise DestinationError(f"there is no field {unknown[0]!r}", where=where, hint=hint)
    found = described[key]
    if operation == "upsert" and key != "Id" and not (found.get("externalId") or found.get("idLookup")):
        raise DestinationError(
            f"{key} finds no records: it is neither an external id nor a field with idLookup",
            where=where,
            hint="mark the field as External ID (and unique) in Salesforce",
        )
    rights = {"upsert": ("createable", "updateable"), "insert": ("createable",), "update": ("updateable",)}[operation]
    for name in sorted(own - {"Id", key}):
        for right in rights:
            if not described[name].get(right):
                raise DestinationError(
                    f"{name} is not {right} for this user", where=where, hint="look at field-level security"
                )
