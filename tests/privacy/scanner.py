"""Looking for a text in files by every way it may be written down. Knows nothing of the product's own scanner."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import sqlite3
import urllib.parse
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import lz4.block
import polars as pl


def forms(text: str) -> dict[str, set[bytes]]:
    """Way of writing → bytes in lower case, of a text as it is and in lower case."""
    found: dict[str, set[bytes]] = {}
    for one in {text, text.lower()}:
        plain = one.encode()
        found.setdefault("plain", set()).add(plain.lower())
        found.setdefault("utf-16", set()).update({one.lower().encode("utf-16-le"), one.lower().encode("utf-16-be")})
        found.setdefault("url", set()).add(urllib.parse.quote(one, safe="").encode().lower())
        found.setdefault("json", set()).add(one.replace("@", "\\u0040").encode().lower())
        for start in range(3):
            middle = base64.b64encode(b"\0" * start + plain)
            found.setdefault("base64", set()).add(middle[4 if start else 0 : -4].lower())
        for name in ("md5", "sha1", "sha256"):
            found.setdefault(name, set()).add(hashlib.new(name, plain).hexdigest().encode())
    return found


def contents(path: Path) -> Iterator[tuple[str, bytes]]:
    """What a file holds: its bytes, and what its own reader makes of them."""
    raw = path.read_bytes()
    yield "bytes", raw
    yield from _inside(raw, path)


def _inside(raw: bytes, path: Path) -> Iterator[tuple[str, bytes]]:
    if raw[:4] == b"PAR1":
        yield "parquet", pl.read_parquet(io.BytesIO(raw)).write_ndjson().encode()
    elif raw[:2] == b"\x1f\x8b":
        yield "gzip", gzip.decompress(raw)
    elif raw[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            for name in archive.namelist():
                yield f"zip {name}", archive.read(name)
    elif raw[:15] == b"SQLite format 3":
        yield "sqlite", b"\n".join(_rows(path))


def _rows(path: Path) -> Iterator[bytes]:
    with closing(sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=20)) as connection:
        connection.text_factory = bytes
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for row in connection.execute(f'SELECT * FROM "{name.decode()}"'):
                for value in row:
                    if isinstance(value, bytes):
                        yield value
                        try:
                            yield lz4.block.decompress(value)
                        except (lz4.block.LZ4BlockError, ValueError, MemoryError):
                            continue


def scan(root: Path, texts: list[str], *, skip: frozenset[str] = frozenset()) -> dict[str, set[str]]:
    """Text → places, `file: reader: way of writing`, in every file under `root` but those named in `skip`."""
    wanted = {text: forms(text) for text in texts}
    found: dict[str, set[str]] = {text: set() for text in texts}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if not path.is_file() or name in skip:
            continue
        for reader, content in contents(path):
            small = content.lower()
            for text, ways in wanted.items():
                for way, needles in ways.items():
                    if any(needle in small for needle in needles):
                        found[text].add(f"{name}: {reader}: {way}")
    return found
