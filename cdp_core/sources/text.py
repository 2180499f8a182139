"""Files of text as clean UTF-8 in pieces: gzip by its magic bytes, encoding by what the bytes are."""

from __future__ import annotations

import codecs
import gzip
import itertools
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

import numpy as np
import polars as pl

from cdp_core.engine.text_bytes import column
from cdp_core.errors import SourceError

CHUNK_BYTES = 32 << 20
MAX_ROW_BYTES = 4 << 20
"""A longer row goes to quarantine: 10 MB without a line end is a broken file, no customer."""

BAD = "\ufdd0"
"""Marks a byte that is no UTF-8. A noncharacter of Unicode: it never occurs in text that is exchanged."""


def _mark(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return "".join(f"{BAD}\\x{byte:02x}" for byte in error.object[error.start : error.end]), error.end


def _as_latin(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return error.object[error.start : error.end].decode("latin-1"), error.end


codecs.register_error("cdp_mark", _mark)
codecs.register_error("cdp_latin", _as_latin)


class BrokenFile(SourceError):
    """The bytes cannot be read: a truncated or damaged gzip stream."""


def pieces(path: Path, encoding: str | None = None, size: int | None = None, *, legacy: bool = True) -> Iterator[bytes]:
    """The file as UTF-8 without byte order mark, in pieces that end with a line (a long line alone may be cut).

    A byte that is no UTF-8 in a file that is UTF-8 becomes `BAD` and its hexadecimal form. Without `encoding`:
    byte order mark, the zero bytes of UTF-16, valid UTF-8, and otherwise cp1252 (not with `legacy` off).
    Raises BrokenFile.
    """
    size = size or CHUNK_BYTES
    with _opened(path) as file:
        blocks = _ahead(_blocks(file, size))
        head = next(blocks, b"")
        encoding, skip = _detect_wide(head) if encoding is None else (encoding.lower(), 0)
        if encoding in ("utf-16", "utf16"):
            encoding, skip = _detect_wide(head)[0] or "utf-16-le", _detect_wide(head)[1]
        if encoding in ("utf-8", "utf8") and head.startswith(codecs.BOM_UTF8):
            skip = 3
        raw: Iterator[bytes] = itertools.chain([head[skip:]], blocks)
        if encoding and encoding.replace("_", "-").startswith(("utf-16", "utf-32")):
            raw = (text.encode() for text in _decoded(raw, encoding))
            encoding = "utf-8"
        yield from _narrow(_whole_lines(raw), encoding or (None if legacy else "utf-8"))


def _opened(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    return cast("IO[bytes]", gzip.open(path)) if zipped else path.open("rb")


def _ahead(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Read and inflate the next block while the caller works on this one."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max_workers=1) as pool:
        following = pool.submit(next, blocks, None)
        while (block := following.result()) is not None:
            following = pool.submit(next, blocks, None)
            yield block


def _blocks(file: IO[bytes], size: int) -> Iterator[bytes]:
    try:
        while block := file.read(size):
            yield block
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BrokenFile(str(error).splitlines()[0].lower()) from error


def _detect_wide(head: bytes) -> tuple[str | None, int]:
    for bom, name in (
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ):
        if head.startswith(bom):
            return name, len(bom)
    sample = np.frombuffer(head[:4096], np.uint8)[: len(head[:4096]) // 2 * 2].reshape(-1, 2) == 0
    if len(sample) >= 2:
        even, odd = sample.mean(axis=0)
        if odd > 0.4 and even < 0.1:
            return "utf-16-le", 0
        if even > 0.4 and odd < 0.1:
            return "utf-16-be", 0
    return None, 0


def _decoded(raw: Iterator[bytes], encoding: str) -> Iterator[str]:
    try:
        decoder = codecs.getincrementaldecoder(encoding)(errors="cdp_mark")
    except LookupError:
        raise BrokenFile(f"unknown encoding {encoding!r}") from None
    for block in raw:
        yield decoder.decode(block)
    yield decoder.decode(b"", final=True)


def _whole_lines(raw: Iterator[bytes]) -> Iterator[bytes]:
    carry: list[bytes] = []
    held = 0
    old_mac: bool | None = None
    for block in raw:
        if old_mac is None and (b"\n" in block or b"\r" in block):
            old_mac = b"\n" not in block
        if old_mac:
            block = block.replace(b"\r", b"\n")
        cut = block.rfind(b"\n") + 1
        if cut or held > 2 * CHUNK_BYTES:
            yield b"".join([*carry, block[:cut]])
            carry, held = [block[cut:]], len(block) - cut
        else:
            carry.append(block)
            held += len(block)
    if last := b"".join(carry):
        yield last


def _narrow(raw: Iterator[bytes], encoding: str | None) -> Iterator[bytes]:
    for block in raw:
        if encoding is None and not block.isascii():
            encoding = _detect_narrow(block)
        if encoding in (None, "utf-8", "utf8"):
            yield _utf8(block)
        else:
            try:
                yield block.decode(encoding, errors="cdp_latin").encode()
            except LookupError:
                raise BrokenFile(f"unknown encoding {encoding!r}") from None


def _utf8(block: bytes) -> bytes:
    try:
        block.decode()
    except UnicodeDecodeError:
        return block.decode(errors="cdp_mark").encode()
    return block


def _detect_narrow(block: bytes) -> str:
    """UTF-8 unless its broken places outnumber its good ones: one bad byte does not make a file cp1252."""
    text = block.decode(errors="replace")
    broken = text.count("\ufffd") - block.count("\ufffd".encode())
    leads = int((np.frombuffer(block, np.uint8) >= 0xC2).sum())
    return "utf-8" if broken == 0 or leads - broken > 4 * broken else "cp1252"


def lines(path: Path, encoding: str | None = None) -> Iterator[pl.DataFrame]:
    """Lines of NDJSON that are not blank, without white space around them: frames of `_line` (from 1) and `_text`."""
    number = 1
    for block in pieces(path, encoding, legacy=False):
        ends = np.flatnonzero(np.frombuffer(block, np.uint8) == 10) + 1
        if not block.endswith(b"\n"):
            ends = np.append(ends, len(block))
        text = column(block, np.concatenate(([0], ends))).str.strip_chars()
        frame = pl.DataFrame({"_line": np.arange(number, number + len(ends)), "_text": text})
        number += len(ends)
        yield frame.filter(pl.col("_text") != "")


def readable(text: pl.Expr) -> pl.Expr:
    """A rejected text as it is kept: NUL bytes and bytes that were no UTF-8 written as \\x00."""
    return text.str.replace_all("\x00", r"\x00", literal=True).str.replace_all(BAD, "", literal=True)
