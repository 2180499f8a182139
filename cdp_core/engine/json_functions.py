"""DuckDB's own functions over JSON text, hashes and times, as Ibis functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ibis.expr.types as ir


def json_extract_string() -> Any:
    import ibis

    @ibis.udf.scalar.builtin(signature=(("string", "string"), "string"), name="json_extract_string")
    def json_extract_string(column, path): ...  # type: ignore[no-untyped-def]

    return json_extract_string


def json_keys() -> Any:
    import ibis

    @ibis.udf.scalar.builtin(signature=(("string",), "array<string>"), name="json_keys")
    def json_keys(column): ...  # type: ignore[no-untyped-def]

    return json_keys


def json_type() -> Any:
    import ibis

    @ibis.udf.scalar.builtin(signature=(("string", "string"), "string"), name="json_type")
    def json_type(column, path): ...  # type: ignore[no-untyped-def]

    return json_type


def pointer_to(key: ir.Value) -> ir.Value:
    """The JSON pointer to a key that a column names."""
    import ibis

    # The call around it stands for brackets: what is extracted is written with ->>, which binds before ||.
    return (ibis.literal("/") + key.replace("~", "~0").replace("/", "~1")).nullif("")


def json_valid() -> Any:
    import ibis

    @ibis.udf.scalar.builtin(signature=(("string",), "boolean"), name="json_valid")
    def json_valid(column): ...  # type: ignore[no-untyped-def]

    return json_valid


def from_json_strings() -> Any:
    import ibis

    @ibis.udf.scalar.builtin(signature=(("string", "string"), "array<string>"), name="from_json")
    def from_json(column, shape): ...  # type: ignore[no-untyped-def]

    return from_json


def digest_of() -> Any:
    import ibis

    @ibis.udf.scalar.builtin(signature=(("string", "string"), "uint64"), name="hash")
    def digest(left, right): ...  # type: ignore[no-untyped-def]

    return digest


def to_json() -> Any:
    import ibis

    @ibis.udf.scalar.builtin(signature=(("string",), "string"), name="to_json")
    def to_json(text): ...  # type: ignore[no-untyped-def]

    return to_json


def timezone() -> Any:
    import ibis

    @ibis.udf.scalar.builtin(signature=(("string", "timestamp('UTC')"), "timestamp"), name="timezone")
    def timezone(zone, at): ...  # type: ignore[no-untyped-def]

    return timezone
