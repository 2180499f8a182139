"""The body of a request: inflated within bounds, and cut into its events, one broken one costing the others nothing."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass, field
from typing import Any

import msgspec

from cdp_core.errors import CDPError
from cdp_core.inbox.limits import MAX_BODY_BYTES

_GZIP = b"\x1f\x8b"
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{},]', re.DOTALL)
_KEY = re.compile(rb'\s*"((?:[^"\\]|\\.)*)"\s*:', re.DOTALL)
_OUTER = ("context", "integrations", "sentAt")
_OPEN = {b"[": b"]", b"{": b"}"}


class TooLarge(CDPError):
    """More bytes than a request may have."""


class Broken(CDPError):
    """It is no JSON, not even in outline."""


@dataclass(slots=True)
class Body:
    """`events` as they came, `outer` what the request says of all of them (JSON by key), `key` its write key."""

    events: list[bytes]
    outer: dict[str, bytes] = field(default_factory=dict)
    key: str | None = None


class _Batch(msgspec.Struct):
    batch: list[msgspec.Raw]
    context: msgspec.Raw = msgspec.Raw()
    integrations: msgspec.Raw = msgspec.Raw()
    sentAt: msgspec.Raw = msgspec.Raw()  # noqa: N815
    writeKey: msgspec.Raw = msgspec.Raw()  # noqa: N815


class _Single(msgspec.Struct):
    writeKey: msgspec.Raw = msgspec.Raw()  # noqa: N815


_decode = msgspec.json.Decoder(_Batch).decode
_object = msgspec.json.Decoder(dict[str, Any]).decode
_members = msgspec.json.Decoder(_Single).decode


def inflated(data: bytes, encoding: str) -> bytes:
    """The body without compression, found by header and by its first bytes. Raises TooLarge and Broken."""
    if data.startswith(_GZIP):
        return _unzipped(data, 31)
    if encoding == "deflate" and data[:1] not in (b"{", b"["):
        return _unzipped(data, 15)
    return data


def _unzipped(data: bytes, bits: int) -> bytes:
    """Several members in a row are one text, as gzip says."""
    found, size = [], 0
    while data:
        stream = zlib.decompressobj(bits)
        try:
            part = stream.decompress(data, MAX_BODY_BYTES + 1 - size)
        except zlib.error:
            raise Broken("compression is damaged") from None
        found.append(part)
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise TooLarge(f"more than {MAX_BODY_BYTES:,} bytes")
        if not stream.eof:
            raise Broken("compressed data end too early")
        data = stream.unused_data if stream.unused_data.startswith(_GZIP) else b""
    return b"".join(found)


def single(data: bytes) -> Body:
    """A body that is one event."""
    text = data.removeprefix(b"\xef\xbb\xbf").strip()
    if not text.startswith(b"{"):
        raise Broken("a JSON object is expected")
    try:
        return Body([text], key=_string(bytes(_members(text).writeKey)))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = {name[1]: part[name.end() :] for part in _children(text) if (name := _KEY.match(part))}
        return Body([text], key=_string(found.get(b"writeKey", b"")))


def batch(data: bytes) -> Body:
    """A body with `batch`, a list of events; or such a list, or one event that names its type."""
    try:
        found = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _by_outline(data)
    outer = {name: bytes(getattr(found, name)) for name in _OUTER}
    return Body([bytes(event) for event in found.batch], _outer(outer), _string(bytes(found.writeKey)))


def _by_outline(data: bytes) -> Body:
    """Cut along brackets and commas outside strings: what is between them may be anything."""
    text = data.removeprefix(b"\xef\xbb\xbf").strip()
    if text.startswith(b"["):
        return Body(_children(text))
    if not text.startswith(b"{"):
        raise Broken("a JSON object is expected")
    members = {}
    for part in _children(text):
        if (name := _KEY.match(part)) is None:
            raise Broken("it is no JSON")
        members[name[1]] = part[name.end() :].strip()
    if b"batch" not in members:
        if b"type" in members:
            return Body([text], key=_string(members.get(b"writeKey", b"")))
        raise Broken("`batch`, a list of events, is missing")
    if not members[b"batch"].startswith(b"["):
        raise Broken("`batch` is no list")
    outer = _outer({name: members.get(name.encode(), b"") for name in _OUTER})
    return Body(_children(members[b"batch"]), outer, _string(members.get(b"writeKey", b"")))


def _outer(found: dict[str, bytes]) -> dict[str, bytes]:
    """What a request says of all its events. It is read again with each of them, so it has to be sound; where it is
    not, `problem` names the rule by which they are held.
    """
    for name in ("context", "integrations"):
        if found[name] not in (b"", b"null") and (not _is_object(found[name]) or b"\\u0000" in found[name]):
            found[name] = b""
            found["problem"] = b'"spec.envelope"'
    if _string(found["sentAt"]) is None:
        found["sentAt"] = b""
    return {name: text for name, text in found.items() if text not in (b"", b"null")}


def _children(text: bytes) -> list[bytes]:
    """What stands between the commas of the outermost brackets, which `text` starts with. Raises Broken."""
    found, closing, start = [], [_OPEN[text[:1]]], 1
    for token in _TOKEN.finditer(text, 1):
        mark = token[0]
        if mark in _OPEN:
            closing.append(_OPEN[mark])
        elif mark in b"]}" and closing.pop() != mark:
            raise Broken("brackets do not match")
        elif mark == b"," and len(closing) == 1:
            found.append(text[start : token.start()].strip())
            start = token.end()
        if not closing:
            if text[token.end() :].strip():
                raise Broken("something follows behind the end")
            last = text[start : token.start()].strip()
            return [*found, last] if last or found else []
    raise Broken("it ends too early")


def _is_object(text: bytes) -> bool:
    try:
        _object(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _string(raw: bytes) -> str | None:
    try:
        return msgspec.json.decode(raw, type=str) if raw else None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
