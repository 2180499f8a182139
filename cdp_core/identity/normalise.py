"""From the values that events carry to identifiers: one spelling each, without those that identify nobody."""

from __future__ import annotations

import hashlib

import polars as pl

from cdp_core.errors import SpecError
from cdp_core.identity.emails import normalise_emails
from cdp_core.identity.phones import normalise_phones
from cdp_core.identity.spec import IdentitySpec, is_pattern

PREVIOUS = "previous_id"
_SHA256 = r"^[0-9a-f]{64}$"


def kind_of(type_: str, spec: IdentitySpec) -> str:
    """How values of a type are spelled: email, phone, sha256 or text.

    >>> kind_of("work_email", IdentitySpec()), kind_of("user_id", IdentitySpec())
    ('email', 'text')
    """
    derive = spec.derived().get(type_)
    if derive:
        return derive.how
    last = type_.rpartition("_")[2]
    return last if last in ("email", "phone") else "text"


def normalise(texts: pl.Series, kind: str, region: str) -> pl.Series:
    """Trimmed texts in the one spelling of their kind; null where the text cannot be one.

    >>> normalise(pl.Series(["ab12"]), "text", "US").to_list(), normalise(pl.Series(["ab12"]), "sha256", "US").to_list()
    (['ab12'], [None])
    """
    if kind == "email":
        return normalise_emails(texts)
    if kind == "phone":
        return normalise_phones(texts, region)
    if kind == "sha256":
        lower = texts.str.to_lowercase()
        return lower.set(~lower.str.contains(_SHA256).fill_null(True), None)
    return texts.set(texts.str.contains(r"^[\[{]").fill_null(False), None)


def normalise_values(values: pl.DataFrame, spec: IdentitySpec) -> pl.DataFrame:
    """What each distinct (type, raw) of an event means.

    Adds `as_type` (a previous_id becomes what other events call the same value), `value` (null: no identifier), `shown`
    (the trimmed text) and `problem` (blocked, invalid or null). Types that `spec` does not know and blank values are left out.
    """
    trimmed = values.with_columns(shown=pl.col("raw").str.replace_all("\x00", "", literal=True).str.strip_chars())
    typed = trimmed.filter(pl.col("shown") != "").with_columns(as_type=_real_type(spec))
    parts = [
        _of_type(part, str(type_), spec)
        for (type_,), part in typed.group_by("as_type", maintain_order=True)
        if spec.rules(str(type_))
    ]
    schema = {c: pl.String for c in ("type", "raw", "as_type", "shown", "value", "problem")}
    return pl.concat([pl.DataFrame(schema=schema), *parts])


def _real_type(spec: IdentitySpec) -> pl.Expr:
    """Segment's alias joins what a person was called before to the user_id: mostly an anonymous_id, at times a user_id."""
    users, devices = (pl.col("shown").filter(pl.col("type") == t) for t in ("user_id", "anonymous_id"))
    is_user = pl.col("shown").is_in(users.implode()) & ~pl.col("shown").is_in(devices.implode())
    if spec.rules("anonymous_id") is None:
        is_user = pl.lit(True)
    real = pl.when(is_user).then(pl.lit("user_id")).otherwise(pl.lit("anonymous_id"))
    return pl.when(pl.col("type") == PREVIOUS).then(real).otherwise("type")


def _of_type(part: pl.DataFrame, type_: str, spec: IdentitySpec) -> pl.DataFrame:
    kind = kind_of(type_, spec)
    texts = part["shown"].unique(maintain_order=True)
    value = normalise(texts, kind, spec.region)
    blocked = _is_blocked(texts, value, type_, spec)
    known = pl.DataFrame({"shown": texts, "value": value.set(blocked, None), "blocked": blocked})
    problem = pl.when("blocked").then(pl.lit("blocked")).when(pl.col("value").is_null()).then(pl.lit("invalid"))
    return part.join(known.with_columns(problem=problem), on="shown").select(
        "type", "raw", "as_type", "shown", "value", "problem"
    )


def _is_blocked(texts: pl.Series, value: pl.Series, type_: str, spec: IdentitySpec) -> pl.Series:
    listed = spec.blocked_for(type_)
    exact = pl.Series([b.lower() for b in listed if not is_pattern(b)], dtype=pl.String)
    spelled = normalise(exact, kind_of(type_, spec), spec.region).drop_nulls()
    derive = spec.derived().get(type_)
    if derive:
        spelled = spelled.append(_digests(_exact_values(derive.from_, spec)))
    found = texts.str.to_lowercase().is_in(exact.implode()) | value.is_in(spelled.implode()).fill_null(False)
    for pattern in filter(is_pattern, listed):
        try:
            found = found | texts.str.contains(f"(?i:{pattern})") | value.str.contains(f"(?i:{pattern})").fill_null(False)
        except pl.exceptions.ComputeError:
            raise SpecError(f"blocked {pattern!r} is no regular expression", where="identity.blocked") from None
    return found


def _exact_values(type_: str, spec: IdentitySpec) -> pl.Series:
    exact = pl.Series([b.lower() for b in spec.blocked_for(type_) if not is_pattern(b)], dtype=pl.String)
    return normalise(exact, kind_of(type_, spec), spec.region).drop_nulls()


def _digests(values: pl.Series) -> pl.Series:
    return pl.Series([hashlib.sha256(v.encode()).hexdigest() for v in values], dtype=pl.String)


def numbered(known: pl.DataFrame, spec: IdentitySpec) -> pl.DataFrame:
    """Identifiers with a number each that sorts by priority, type and value: columns node, type, value, parent.

    `known` is what `normalise_values` gives. Derived identifiers are added; `parent` is the node they come from when
    they are derived from one that occurs.
    """
    own = known.filter(pl.col("value").is_not_null()).select(pl.col("as_type").alias("type"), "value").unique()
    derived = [
        own.filter(pl.col("type") == derive.from_).select(
            pl.lit(name).alias("type"),
            pl.Series("value", _digests(own.filter(pl.col("type") == derive.from_)["value"])),
            pl.col("type").alias("from_type"),
            pl.col("value").alias("from_value"),
        )
        for name, derive in spec.derived().items()
    ]
    every = pl.concat([own, *(d.select("type", "value") for d in derived)]).unique()
    order = {name: i for i, name in enumerate(spec.identifiers)}
    rank = pl.col("type").replace_strict(order, default=len(order), return_dtype=pl.Int64)
    nodes = every.sort(rank, "type", "value").with_row_index("node").with_columns(pl.col("node").cast(pl.Int64))
    if not derived:
        return nodes.with_columns(parent=pl.lit(None, pl.Int64))
    legs = pl.concat(derived).join(
        nodes.select(pl.col("node").alias("parent"), from_type="type", from_value="value"), on=["from_type", "from_value"]
    )
    return nodes.join(legs.select("type", "value", "parent"), on=["type", "value"], how="left")
