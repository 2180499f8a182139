"""From a model's columns to the fields a destination gets, as one Ibis expression."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cdp_core.destinations.functions.scope import Scope
from cdp_core.destinations.spec import SyncSpec
from cdp_core.errors import SpecError

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.engine import Engine


_NOT_JSON = ("nan", "inf", "-inf", "infinity", "-infinity")


def column_of(position: int) -> str:
    """Name of a mapped field's column in a plan: engines fold case and fields may be called `key`."""
    return f"v{position}"


def mapped(engine: Engine, name: str, sync: SyncSpec, model: ir.Table) -> ir.Table:
    """The model as it is sent: key (text), profile_id, one typed column per field (v0, v1, …) and payload (JSON text).

    Raises SpecError for a column the model does not have or whose type cannot be sent.
    """
    import ibis

    values = {field: _value(engine, name, field, spec, model) for field, spec in sync.mapping.items()}
    key = _key(name, values[sync.key])
    has_profile = "profile_id" in model.columns
    profile = model["profile_id"].cast("string") if has_profile else ibis.null("string")
    return model.select(
        key=key,
        profile_id=profile,
        payload=payload(engine, values),
        **{column_of(i): value for i, value in enumerate(values.values())},
    )


def key_text(engine: Engine, name: str, sync: SyncSpec, model: ir.Table) -> ir.StringValue:
    """The key of every row, as `mapped` gives it."""
    return _key(name, _value(engine, name, sync.key, sync.mapping[sync.key], model))


def _key(name: str, key: Any) -> ir.StringValue:
    if not (key.type().is_string() or key.type().is_integer()):
        raise SpecError(
            f"the key has the type {key.type()}",
            where=f"syncs.{name}.key",
            choices=["text", "integer"],
            hint="map a column such as profile_id",
        )
    return key.cast("string")


def field_types(sync: SyncSpec, rows: ir.Table) -> dict[str, str]:
    """The type of every field, in the words of `Delivery`."""
    kinds = (rows[column_of(i)].type() for i in range(len(sync.mapping)))
    return {
        f: "timestamp" if k.is_timestamp() else str(k).lstrip("!") for f, k in zip(sync.mapping, kinds, strict=True)
    }


def payload(engine: Engine, values: dict[str, ir.Value]) -> ir.StringValue:
    """A row as the text of one JSON object, fields in the order of the mapping, absent values as null."""
    import json

    import ibis

    pairs = [
        ibis.literal(json.dumps(field, ensure_ascii=False) + ":")
        + ibis.coalesce(json_value(engine, value), ibis.literal("null"))
        for field, value in values.items()
    ]
    return ibis.literal("{") + ibis.literal(",").join(pairs) + ibis.literal("}")


def json_value(engine: Engine, value: Any) -> ir.StringValue:
    """A column as JSON text; null stays null, and numbers that JSON cannot write (NaN, infinity) become null."""
    import ibis

    kind = value.type()
    if kind.is_boolean():
        return value.cast("string").lower()
    if kind.is_floating():
        text = value.cast("string")
        return text.lower().isin(_NOT_JSON).ifelse(ibis.null("string"), text)
    if kind.is_numeric():
        return value.cast("string")
    if kind.is_timestamp():
        return ibis.literal('"') + value.cast("string").replace(" ", "T") + ibis.literal('Z"')
    if kind.is_array():
        items = value.map(lambda item: ibis.coalesce(engine.json_quoted(item), ibis.literal("null")))
        listed = ibis.literal("[") + items.join(",") + ibis.literal("]")
        return (value.length() == 0).ifelse("[]", listed)
    return engine.json_quoted(value.cast("string"))


def _value(engine: Engine, name: str, field: str, source: Any, model: ir.Table) -> Any:
    where = f"syncs.{name}.mapping.{field}"
    return _sendable(Scope(engine, model, where).value(source), where)


def read_back(engine: Engine, column: Any, name: str, kind: Any) -> Any:
    """A field of rows that were sent, out of their payload."""
    if kind.is_array():
        return engine.json_list(engine.json_text(column, name))
    text = engine.json_text(column, name)
    if kind.is_timestamp():
        text = text.replace("T", " ").replace("Z", "")
    return text if kind.is_string() else text.try_cast(kind)


def _sendable(value: Any, where: str) -> Any:
    """One of the few types that every destination understands."""
    kind = value.type()
    if kind.is_timestamp():
        return value if kind.timezone is None else value.cast("timestamp")
    if kind.is_array():
        if kind.value_type.is_nested():
            raise SpecError(
                "lists of lists or objects cannot be sent", where=where, hint="take it apart in a sql model"
            )
        return value if kind.value_type.is_string() else value.map(lambda item: item.cast("string"))
    if kind.is_nested() or kind.is_binary() or kind.is_interval():
        raise SpecError(f"a column of type {kind} cannot be sent", where=where, hint="take it apart in a sql model")
    if kind.is_boolean() or kind.is_date() or kind.is_decimal() or kind.is_string():
        return value
    if kind.is_floating():
        return value.cast("float64")
    if kind.is_integer() and not kind.is_unsigned_integer():
        return value.cast("int64")
    return value.cast("decimal(20, 0)") if kind.is_integer() else value.cast("string")
