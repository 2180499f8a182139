"""Events of a request as they are stored: one compressed list, since most of what clients send they send every time."""

from __future__ import annotations

from collections.abc import Sequence

import lz4.block
import msgspec

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[bytes]).decode


def pack(events: Sequence[bytes]) -> bytes:
    """
    >>> unpack(pack([b'{"type":"page"}', b"\\xff"]))
    [b'{"type":"page"}', b'\\xff']
    """
    packed: bytes = lz4.block.compress(_encode(events))
    return packed


def unpack(body: bytes) -> list[bytes]:
    return _decode(lz4.block.decompress(body))
