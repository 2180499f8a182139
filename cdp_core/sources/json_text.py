"""JSON and NDJSON as texts of one value each, and as rows; what is hostile is named, not swallowed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from cdp_core.engine import json_lines
from cdp_core.engine.text_bytes import spans
from cdp_core.sources.names import tidy
from cdp_core.sources.text import BAD, MAX_ROW_BYTES, lines, pieces, readable

if TYPE_CHECKING:
    from cdp_core.engine import Staging

MAX_DEPTH = 100
STRING = r'"(?:[^"\\]|\\.)*"'
TOO_BIG = r"(?i)nan|inf|[0-9]e\+?0*([1-9][0-9]{3,}|3(0[89]|[1-9][0-9])|[4-9][0-9]{2})|[0-9]{309}"
ESCAPED_NUL = r"(?:^|[^\\])(?:\\\\)*\\u0000"


def values(path: Path, encoding: str | None = None) -> Iterator[pl.DataFrame]:
    """Frames of `_line` and `_text`: the lines of NDJSON, or the elements of a file that is one JSON array."""
    if _is_array(path, encoding):
        return _elements(path, encoding)
    return lines(path, encoding)


def _is_array(path: Path, encoding: str | None) -> bool:
    for block in pieces(path, encoding, size=4096, legacy=False):
        if start := block.lstrip():
            return start.startswith(b"[")
    return False


def _elements(path: Path, encoding: str | None) -> Iterator[pl.DataFrame]:
    """Cut an array at the commas of its first level; the elements may be damaged, they are not parsed here."""
    carry, line, opened = b"", 1, False
    stream = pieces(path, encoding, legacy=False)
    block = next(stream, None)
    while block is not None:
        following = next(stream, None)
        data = carry + block
        if not opened:
            cut = data.index(b"[") + 1
            line, data, opened = line + data[:cut].count(b"\n"), data[cut:], True
        starts, ends, consumed = _cut(np.frombuffer(data, np.uint8), final=following is None)
        if len(starts):
            yield _numbered(data, starts, ends, line)
        line, carry, block = line + data[:consumed].count(b"\n"), data[consumed:], following


def _numbered(data: bytes, starts: np.ndarray, ends: np.ndarray, line: int) -> pl.DataFrame:
    array = np.frombuffer(data, np.uint8)
    text = spans(array, starts, ends)
    blank = text.str.len_bytes() - text.str.strip_chars_start().str.len_bytes()
    breaks = np.flatnonzero(array == 10)
    number = line + np.searchsorted(breaks, starts + blank.to_numpy())
    return pl.DataFrame({"_line": number, "_text": text.str.strip_chars()}).filter(pl.col("_text") != "")


def _cut(data: np.ndarray, *, final: bool) -> tuple[np.ndarray, np.ndarray, int]:
    outside = _outside_strings(data)
    marks = np.flatnonzero(np.isin(data, np.frombuffer(b"[]{},", np.uint8)))
    marks = marks[outside(marks)]
    kind = data[marks]
    change = np.where((kind == 91) | (kind == 123), 1, np.where(kind == 44, 0, -1))
    depth = np.cumsum(change)
    closing = np.flatnonzero(depth < 0)
    stop = closing[0] if len(closing) else len(marks)
    cuts = marks[:stop][(kind[:stop] == 44) & (depth[:stop] == 0)]
    starts = np.concatenate(([0], cuts + 1))
    if len(closing):
        rest = int(marks[stop]) + 1
        ends = np.concatenate((cuts, [marks[stop]]))
        if data[rest:].tobytes().strip():
            starts, ends = np.append(starts, rest), np.append(ends, len(data))
        return starts, ends, len(data)
    if final:
        return starts, np.concatenate((cuts, [len(data)])), len(data)
    return starts[:-1], cuts, int(cuts[-1]) + 1 if len(cuts) else 0


def _outside_strings(data: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """A test for byte positions: outside JSON strings? An odd run of backslashes escapes a quote."""
    quotes = np.flatnonzero(data == 34)
    slashes = data == 92
    suspects = quotes[(quotes > 0) & slashes[quotes - 1]]
    escaped = np.zeros(0, np.int64)
    if len(suspects):
        other = np.flatnonzero(~slashes)
        previous = other[np.searchsorted(other, suspects) - 1]
        escaped = suspects[(suspects - 1 - previous) % 2 == 1]
    real = np.setdiff1d(quotes, escaped, assume_unique=True) if len(escaped) else quotes
    return lambda positions: np.searchsorted(real, positions) % 2 == 0


def judge(
    staging: Staging, frame: pl.DataFrame, fields: dict[str, str], inner: dict[str, tuple[str, str]] | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Parse `_text` (an object each) into fields; give the sound rows and the rejects (REJECT_SCHEMA and `_line`).

    `fields` as in `json_lines.parse`. The columns that `frame` has already stay.
    """
    frame = frame.with_columns(_rule=_text_rule(frame["_text"]))
    sound = frame.filter(pl.col("_rule").is_null()).drop("_rule")
    parsed = json_lines.parse(staging, sound["_text"], fields, inner)
    verdict = (
        pl.when(~pl.col("_valid"))
        .then(pl.lit("parse.json"))
        .when(pl.col("_kind") != "OBJECT")
        .then(pl.lit("parse.object"))
        .when(pl.col("_repeated"))
        .then(pl.lit("parse.duplicate_key"))
    )
    sound = sound.hstack(parsed).with_columns(_rule=verdict)
    bad = pl.concat(
        [
            frame.filter(pl.col("_rule").is_not_null()).select("_line", "_text", "_rule"),
            sound.filter(pl.col("_rule").is_not_null()).select("_line", "_text", "_rule"),
        ]
    )
    return sound.filter(pl.col("_rule").is_null()).drop("_rule", "_valid", "_kind", "_repeated"), described(bad)


def described(bad: pl.DataFrame) -> pl.DataFrame:
    said = {
        "parse.encoding": "bytes that are no UTF-8",
        "parse.nul_bytes": "a NUL character",
        "parse.too_long": f"more than {MAX_ROW_BYTES} bytes",
        "parse.depth": f"nested deeper than {MAX_DEPTH} levels",
        "parse.number": "a number that JSON or a double cannot hold",
        "parse.json": "it is no JSON",
        "parse.object": "it is JSON, but no object",
        "parse.duplicate_key": "a key occurs twice",
        "parse.empty_batch": "a batch of no events",
    }
    return bad.select(
        "_line",
        payload=readable(pl.col("_text")),
        rule="_rule",
        field=pl.lit(None, pl.String),
        description=pl.format("line {}: {}", "_line", pl.col("_rule").replace_strict(said, default=pl.col("_rule"))),
    )


def _text_rule(text: pl.Series) -> pl.Series:
    """Rules that a parser would let pass or trip over, by looking closely at suspects alone."""
    frame = text.alias("t").to_frame().with_row_index("i").with_columns(pl.lit(None, pl.String).alias("rule"))
    t = pl.col("t")
    long = t.str.len_bytes() > MAX_ROW_BYTES
    deep = t.str.count_matches("[", literal=True) + t.str.count_matches("{", literal=True) > MAX_DEPTH
    number = t.str.contains_any(["NaN", "nan", "NAN", "inf", "Inf", "INF"]) | t.str.contains(
        r"[0-9][eE]\+?[0-9]{3}|[0-9]{309}"
    )
    suspect = frame.filter(~long & (deep | number)).select("i", bare=t.str.replace_all(STRING, ""))
    wrong = suspect.filter(pl.col("bare").str.contains(TOO_BIG))["i"]
    return frame.select(
        pl.when(t.str.contains(BAD, literal=True))
        .then(pl.lit("parse.encoding"))
        .when(t.str.contains("\x00", literal=True))
        .then(pl.lit("parse.nul_bytes"))
        .when(t.str.contains("\\u0000", literal=True) & t.str.contains(ESCAPED_NUL))
        .then(pl.lit("parse.nul_bytes"))
        .when(long)
        .then(pl.lit("parse.too_long"))
        .when(pl.col("i").is_in(_too_deep(suspect).implode()))
        .then(pl.lit("parse.depth"))
        .when(pl.col("i").is_in(wrong.implode()))
        .then(pl.lit("parse.number"))
        .alias("rule")
    )["rule"]


def _too_deep(suspect: pl.DataFrame) -> pl.Series:
    """Take innermost brackets away as often as is allowed; what still has some is nested deeper."""
    rest = suspect.with_columns(pl.col("bare").str.replace_all(r"[^\[\]{}]", ""))
    for _ in range(MAX_DEPTH):
        rest = rest.filter(pl.col("bare") != "")
        if rest.is_empty():
            break
        rest = rest.with_columns(pl.col("bare").str.replace_all(r"\[\]|\{\}", ""))
    return rest.filter(pl.col("bare").str.contains(r"[\[{]{2}|\[\]|\{\}"))["i"]


def read_json(
    staging: Staging, path: Path, encoding: str | None
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame, dict[str, str]]]:
    """Rows (text columns and `_line`), rejects, and the kinds of columns that JSON itself tells."""
    for frame in values(path, encoding):
        sound, bad = judge(staging, frame, {})
        found = json_lines.keys(staging, sound["_text"])
        names = found["key"].to_list()
        rows = json_lines.extract(staging, sound["_text"], names)
        rows.columns = tidy(names)
        kinds = {}
        for name, row in zip(rows.columns, found.iter_rows(named=True), strict=True):
            told = "string" if row["string"] else "json" if row["nested"] else None
            kinds[name] = told or ("boolean" if row["logical"] and row["boolean"] else "")
        yield rows.hstack([sound["_line"]]), bad, {k: v for k, v in kinds.items() if v}
