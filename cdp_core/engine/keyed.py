"""Keyed hashes of a column, so that values can be recognised without being kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ibis.expr.types as ir

BLOCK = 64
"""Bytes that SHA-256 takes at a time, and a key has at most."""


def keyed(text: ir.Value, key: bytes, *, sha256: str, bits: tuple[int, ...] = ()) -> ir.StringValue:
    """HMAC-SHA-256 of texts in UTF-8 as hex digits in lower case (RFC 2104). `sha256` is the engine's name for the
    hash of bytes, `bits` what it must be told besides. Raises ValueError for a key longer than a block.
    """
    import ibis

    if len(key) > BLOCK:
        raise ValueError(f"a key has at most {BLOCK} bytes")
    inner, outer = (bytes(octet ^ pad for octet in key.ljust(BLOCK, b"\0")).hex() for pad in (0x36, 0x5C))
    hashed, octets, digits = _sha256(sha256, len(bits)), _unhex(), _hex()
    within = hashed(octets(ibis.literal(inner) + digits(text)), *bits)
    found: ir.StringValue = hashed(octets(ibis.literal(outer) + within), *bits)
    return found


def _sha256(name: str, more: int) -> Any:
    import ibis

    if more:

        @ibis.udf.scalar.builtin(signature=(("binary", "int32"), "string"), name=name)
        def hashed(octets, bits): ...  # type: ignore[no-untyped-def]

        return hashed

    @ibis.udf.scalar.builtin(signature=(("binary",), "string"), name=name)
    def hashed_alone(octets): ...  # type: ignore[no-untyped-def]

    return hashed_alone


def _unhex() -> Any:
    import ibis

    @ibis.udf.scalar.builtin(signature=(("string",), "binary"), name="unhex")
    def octets(digits): ...  # type: ignore[no-untyped-def]

    return octets


def _hex() -> Any:
    import ibis

    @ibis.udf.scalar.builtin(signature=(("string",), "string"), name="hex")
    def digits(text): ...  # type: ignore[no-untyped-def]

    return digits
