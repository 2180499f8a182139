"""CSV, TSV and other delimited text as batches of rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from cdp_core.sources.names import tidy
from cdp_core.sources.table_text import frame_of, sniff_delimiter, split
from cdp_core.sources.text import BAD, pieces

SAMPLE_BYTES = 64 << 10


def read_delimited(
    path: Path, *, delimiter: str | None = None, encoding: str | None = None
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Rows (text columns and `_line`) and rejects (payload, _line, rule, description), block by block.

    The first record that is not blank is the header. An empty file gives nothing.
    """
    header: list[str] | None = None
    carry, line = b"", 1
    stream = pieces(path, encoding)
    block = next(stream, None)
    while block is not None:
        following = next(stream, None)
        block = carry + block
        if header is None:
            block, skipped, header, delimiter = _header(block, delimiter)
            line += skipped
        if header is None or delimiter is None:
            carry = block
        else:
            records = split(block, delimiter, final=following is None)
            if len(records.starts):
                yield frame_of(records, header, delimiter, line)
            carry, line = block[records.consumed :], line + records.line_count
        block = following


def _header(block: bytes, delimiter: str | None) -> tuple[bytes, int, list[str] | None, str | None]:
    """Take blank lines and the header record off the block."""
    skipped = len(block) - len(block.lstrip(b"\r\n"))
    lines = block[:skipped].count(b"\n")
    block = block[skipped:]
    if not block:
        return block, lines, None, delimiter
    sample = block[:SAMPLE_BYTES]
    if len(block) > SAMPLE_BYTES:
        sample = sample[: sample.rfind(b"\n") + 1] or sample
    text = sample.decode(errors="replace").replace("\x00", "").replace(BAD, "")
    delimiter = delimiter or sniff_delimiter(text)
    records = split(sample, delimiter, final=True)
    first = sample[: records.ends[0]].decode(errors="replace").replace("\x00", "").replace(BAD, "")
    names = next(csv.reader(io.StringIO(first.removesuffix("\r"), newline=""), delimiter=delimiter))
    end = min(int(records.ends[0]) + 1, len(block))
    return block[end:], lines + block[:end].count(b"\n"), tidy(names), delimiter
