"""From the values that events carry to identifiers: one spelling each, without those that identify nobody."""

from __future__ import annotations

import hashlib
from typing import TypeVar

import polars as pl

from cdp_core.errors import SpecError
from cdp_core.identity.emails import normalise_emails
from cdp_core.identity.phones import normalise_phones
from cdp_core.identity.spec import IdentitySpec, is_pattern

PREVIOUS = "previous_id"
_SHA256 = r"^[0-9a-f]{64}$"
_Texts = TypeVar("_Texts", pl.Expr, pl.Series)


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


def trim(texts: _Texts) -> _Texts:
    """Texts as they are shown and compared."""
    return texts.str.replace_all("\x00", "", literal=True).str.strip_chars()


def normalise_values(values: pl.DataFrame, spec: IdentitySpec, *, met: pl.DataFrame | None = None) -> pl.DataFrame:
    """What each distinct (type, raw) of an event means. `met`: identifiers (type, value) of other events.

    Adds `as_type` (a previous_id becomes what other events call the same value), `value` (null: no identifier), `shown`
    (the trimmed text) and `problem` (blocked, invalid or null). Types that `spec` does not know and blank values are
    left out.
    """
    trimmed = values.with_columns(shown=trim(pl.col("raw")))
    typed = trimmed.filter(pl.col("shown") != "").with_columns(as_type=_real_type(trimmed, spec, met))
    parts = [
        _of_type(part, str(type_), spec)
        for (type_,), part in typed.group_by("as_type", maintain_order=True)
        if spec.rules(str(type_))
    ]
    schema = dict.fromkeys(("type", "raw", "as_type", "shown", "value", "problem"), pl.String)
    return pl.concat([pl.DataFrame(schema=schema), *parts])


def _real_type(values: pl.DataFrame, spec: IdentitySpec, met: pl.DataFrame | None) -> pl.Expr:
    """The previous_id of an alias is what the person was called before: mostly an anonymous_id, at times a user_id."""
    said = values.select("type", value="shown")
    said = said if met is None else pl.concat([said, met.select("type", "value")])
    users, devices = (said.filter(pl.col("type") == t)["value"] for t in ("user_id", "anonymous_id"))
    is_user = pl.col("shown").is_in(users.implode()) & ~pl.col("shown").is_in(devices.implode())
    if spec.rules("anonymous_id") is None:
        is_user = pl.lit(True)
    real = pl.when(is_user).then(pl.lit("user_id")).otherwise(pl.lit("anonymous_id"))
    return pl.when(pl.col("type") == PREVIOUS).then(real).otherwise("type")


def _of_type(part: pl.DataFrame, type_: str, spec: IdentitySpec) -> pl.DataFrame:
    value = normalise(part["shown"], kind_of(type_, spec), spec.region)
    blocked = _is_blocked(part["shown"], value, type_, spec)
    problem = pl.when(blocked).then(pl.lit("blocked")).when(value.is_null()).then(pl.lit("invalid"))
    return part.select("type", "raw", "as_type", "shown", value=value.set(blocked, None), problem=problem)


def _is_blocked(texts: pl.Series, value: pl.Series, type_: str, spec: IdentitySpec) -> pl.Series:
    listed = spec.blocked_for(type_)
    exact = pl.Series([b.lower() for b in listed if not is_pattern(b)], dtype=pl.String)
    spelled = _exact_values(type_, spec)
    derive = spec.derived().get(type_)
    if derive:
        spelled = pl.concat([spelled, _digests(_exact_values(derive.from_, spec))])
    found = texts.str.to_lowercase().is_in(exact.implode()) | value.is_in(spelled.implode()).fill_null(False)
    for pattern in filter(is_pattern, listed):
        anycase = f"(?i:{pattern})"
        try:
            found = found | texts.str.contains(anycase) | value.str.contains(anycase).fill_null(False)
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
    legs = _derived(own, spec)
    every = pl.concat([own, legs.select("type", "value")]).unique()
    order = {name: i for i, name in enumerate(spec.identifiers)}
    rank = pl.col("type").replace_strict(order, default=len(order), return_dtype=pl.Int64)
    nodes = every.sort(rank, "type", "value").with_row_index("node").with_columns(pl.col("node").cast(pl.Int64))
    parents = nodes.select(pl.col("node").alias("parent"), from_type="type", from_value="value")
    legs = legs.join(parents, on=["from_type", "from_value"]).select("type", "value", "parent")
    return nodes.join(legs, on=["type", "value"], how="left")


def _derived(own: pl.DataFrame, spec: IdentitySpec) -> pl.DataFrame:
    """What can be computed from identifiers: type, value, from_type, from_value."""
    schema = dict.fromkeys(("type", "value", "from_type", "from_value"), pl.String)
    parts = [pl.DataFrame(schema=schema)]
    for name, derive in spec.derived().items():
        values = own.filter(pl.col("type") == derive.from_)["value"]
        digests = {"type": name, "value": _digests(values), "from_type": derive.from_, "from_value": values}
        parts.append(pl.DataFrame(digests, schema=schema))
    return pl.concat(parts)
