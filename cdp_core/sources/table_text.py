"""Records of delimited text, found set-wise: where each begins and ends, how many fields it has, what is wrong with it.

RFC 4180 with the usual leniency: a quote that opens no field is a character like any other.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from cdp_core.engine.text_bytes import spans
from cdp_core.sources.text import BAD, MAX_ROW_BYTES, readable

DELIMITERS = (",", ";", "\t", "|")
QUOTE, NEWLINE, RETURN = 34, 10, 13
Array = np.ndarray[Any, Any]
csv.field_size_limit(MAX_ROW_BYTES)


@dataclass(frozen=True)
class Records:
    """Records of a block: byte positions, first line (from 0), number of fields, whether quotes are irregular."""

    data: Array
    starts: Array
    ends: Array
    lines: Array
    fields: Array
    irregular: Array
    consumed: int
    line_count: int


def sniff_delimiter(sample: str) -> str:
    """The delimiter that cuts the most lines into the same number of fields.

    >>> sniff_delimiter("a;b\\n1,5;x\\n2,5;y\\n")
    ';'
    """
    best, best_score = ",", (0.0, 0)
    for delimiter in DELIMITERS:
        rows = [len(row) for row in csv.reader(io.StringIO(sample), delimiter=delimiter) if row][:200]
        width = rows[0] if rows else 1
        score = (sum(w == width for w in rows) / len(rows) if width > 1 else 0.0, width)
        if score > best_score:
            best, best_score = delimiter, score
    return best


def split(block: bytes, delimiter: str, *, final: bool) -> Records:
    """Cut a block into records. Without `final` the last one may be incomplete: go on at `consumed`."""
    data = np.frombuffer(block, np.uint8)
    line_ends = np.flatnonzero(data == NEWLINE)
    if final and len(data) and data[-1] != NEWLINE:
        line_ends = np.append(line_ends, len(data))
    line_starts = np.concatenate(([0], line_ends + 1))[: len(line_ends)]
    quotes = np.flatnonzero(data == QUOTE)
    before = np.searchsorted(quotes, line_starts)
    odd = np.flatnonzero((np.searchsorted(quotes, line_ends) - before) & 1)
    closed = _closed(data, line_starts, line_ends, odd, delimiter, final=final)
    last = np.flatnonzero(closed)
    starts = line_starts[np.concatenate(([0], last[:-1] + 1))] if len(last) else np.empty(0, np.int64)
    ends = line_ends[last]
    first = np.searchsorted(line_starts, starts)
    consumed = int(min(ends[-1] + 1, len(data))) if len(ends) else 0
    fields, irregular = _fields(data, starts, ends, quotes, ord(delimiter))
    return Records(data, starts, ends, first, fields, irregular, consumed, int(last[-1]) + 1 if len(last) else 0)


def _closed(data: Array, starts: Array, ends: Array, odd: Array, delimiter: str, *, final: bool) -> Array:
    """Whether each line ends outside quotes.

    A line with an odd number of quotes opens a quoted field when one begins in it and does not end in it; any such
    line closes an open one; otherwise its odd quote is a plain character.
    """
    opens = _opens(data, starts[odd], ends[odd], delimiter)
    inside = _inside(opens)
    if len(odd) and inside[-1] and (final or len(data) - starts[odd[-1]] > MAX_ROW_BYTES):
        opens[-1] = False
        inside = _inside(opens)
    state = np.zeros(len(starts), bool)
    state[odd] = _changes(inside)
    return ~np.logical_xor.accumulate(state) if len(state) else np.ones(0, bool)


def _inside(opens: Array) -> Array:
    """State after each odd line: an opening line flips it, any other one leaves the quotes."""
    flips = np.cumsum(opens)
    reset = np.maximum.accumulate(np.where(opens, 0, flips)) if len(opens) else flips
    inside: Array = ((flips - reset) & 1).astype(bool)
    return inside


def _changes(inside: Array) -> Array:
    return np.logical_xor(inside, np.concatenate(([False], inside[:-1])))


def _opens(data: Array, starts: Array, ends: Array, delimiter: str) -> Array:
    if not len(starts):
        return np.empty(0, bool)
    pattern = rf'(^|{"[" + delimiter + "]" if delimiter != "	" else "	"})"([^"]|"")*$'
    return spans(data, starts, ends).str.contains(pattern).to_numpy().copy()


def _fields(data: Array, starts: Array, ends: Array, quotes: Array, delimiter: int) -> tuple[Array, Array]:
    count = len(starts)
    if not count:
        return np.empty(0, np.int64), np.empty(0, bool)
    first_quote = np.searchsorted(quotes, starts)
    marks = np.flatnonzero(data[: ends[-1]] == delimiter)
    owner = np.searchsorted(starts, marks, side="right") - 1
    inner = (np.searchsorted(quotes, marks) - first_quote[owner]) & 1
    fields = 1 + np.bincount(owner[inner == 0], minlength=count)
    own = quotes[quotes < ends[-1]]
    holder = np.searchsorted(starts, own, side="right") - 1
    closing = (np.arange(len(own)) - first_quote[holder]) & 1
    padded = np.concatenate(([NEWLINE], data, [NEWLINE, NEWLINE]))
    previous, following = padded[own], padded[own + 2]
    begins = (own == starts[holder]) | np.isin(previous, (delimiter, QUOTE))
    finishes = np.isin(following, (delimiter, QUOTE, NEWLINE, RETURN))
    wrong = np.where(closing == 1, ~finishes, ~begins)
    unclosed = np.bincount(holder, minlength=count) % 2 == 1
    irregular = unclosed | (np.bincount(holder[wrong], minlength=count) > 0)
    return fields, irregular


def frame_of(records: Records, header: list[str], delimiter: str, first_line: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows as text columns with `_line`, and what could not be read as frame of REJECT_SCHEMA with `_line`."""
    lengths = records.ends - records.starts
    blank = (lengths == 0) | (
        (lengths == 1) & (records.data[np.minimum(records.starts, len(records.data) - 1)] == RETURN)
    )
    zeros = _holders(records, np.flatnonzero(records.data == 0))
    broken = _holders(records, _marks(records.data))
    long = lengths > MAX_ROW_BYTES
    sound = ~(blank | zeros | broken | long)
    plain = sound & ~records.irregular & (records.fields == len(header))
    lenient = sound & records.irregular
    ragged = sound & ~plain & ~lenient
    rows = _parse(records, plain, header, delimiter, first_line)
    more, lost = _parse_leniently(records, lenient, header, delimiter, first_line)
    bad = [lost]
    for rule, mask in {
        "parse.nul_bytes": zeros,
        "parse.encoding": broken & ~zeros,
        "parse.too_long": long & ~zeros & ~broken,
        "parse.ragged_row": ragged,
    }.items():
        bad.append(_rejected(records, mask, rule, len(header), first_line))
    return pl.concat([rows, more]) if more.height else rows, pl.concat(bad)


def _holders(records: Records, positions: Array) -> Array:
    found = np.zeros(len(records.starts), bool)
    if len(positions) and len(found):
        holders = np.searchsorted(records.starts, positions, side="right") - 1
        found[holders[(holders >= 0) & (positions < records.ends[holders])]] = True
    return found


def _marks(data: Array) -> Array:
    mark = BAD.encode()
    if mark not in data.tobytes():
        return np.empty(0, np.int64)
    hit = (data[:-2] == mark[0]) & (data[1:-1] == mark[1]) & (data[2:] == mark[2])
    return np.flatnonzero(hit)


def _parse(records: Records, plain: Array, header: list[str], delimiter: str, first_line: int) -> pl.DataFrame:
    schema = pl.Schema(dict.fromkeys(header, pl.String))
    if not plain.any():
        return pl.DataFrame(schema={**schema, "_line": pl.Int64})
    if plain.all():
        body = records.data[: records.ends[-1]].tobytes()
    else:
        text = spans(records.data, records.starts[plain], records.ends[plain])
        body = text.str.join("\n").item().encode() if len(text) else b""
    frame = pl.read_csv(body, has_header=False, schema=schema, separator=delimiter, raise_if_empty=False)
    numbers = pl.Series("_line", records.lines[plain] + first_line, dtype=pl.Int64)
    if frame.height != len(numbers):
        return _parse_leniently(records, plain, header, delimiter, first_line)[0]
    return frame.with_columns(numbers)


def _parse_leniently(
    records: Records, mask: Array, header: list[str], delimiter: str, first_line: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Records whose quotes are not where they belong, by the forgiving reader of the standard library."""
    schema = {**dict.fromkeys(header, pl.String), "_line": pl.Int64}
    texts = spans(records.data, records.starts[mask], records.ends[mask])
    good: list[list[Any]] = []
    wrong = np.zeros(len(records.starts), bool)
    for text, line, index in zip(texts, records.lines[mask], np.flatnonzero(mask), strict=True):
        rows = list(csv.reader(io.StringIO(text.removesuffix("\r"), newline=""), delimiter=delimiter))
        if len(rows) == 1 and len(rows[0]) == len(header):
            good.append([*rows[0], int(line) + first_line])
        else:
            wrong[index] = True
    frame = pl.DataFrame(good, schema=schema, orient="row")
    return frame, _rejected(records, wrong, "parse.ragged_row", len(header), first_line)


def _rejected(records: Records, mask: Array, rule: str, width: int, first_line: int) -> pl.DataFrame:
    texts = spans(records.data, records.starts[mask], records.ends[mask]).str.strip_chars_end("\r")
    frame = pl.DataFrame({"payload": texts, "_line": records.lines[mask] + first_line, "n": records.fields[mask]})
    line = pl.format("line {}: ", "_line")
    said = {
        "parse.ragged_row": pl.format(f"{{}} fields where the header has {width}", "n"),
        "parse.nul_bytes": pl.lit("the row holds NUL bytes"),
        "parse.encoding": pl.lit("the row holds bytes that are no UTF-8"),
        "parse.too_long": pl.format(f"{{}} bytes, more than {MAX_ROW_BYTES}", pl.col("payload").str.len_bytes()),
    }[rule]
    return frame.select(readable(pl.col("payload")), "_line", rule=pl.lit(rule), description=line + said)
