"""A column of JSON texts at the door: what `scanned` does to one text, done to all of them at once."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from cdp_core.engine.text_bytes import as_bytes, spans, spliced
from cdp_core.privacy.controls import changed_json_column
from cdp_core.privacy.door import EXTERNAL
from cdp_core.privacy.scan import _name

if TYPE_CHECKING:
    from cdp_core.engine import Staging
    from cdp_core.privacy.door import Door, Place
    from cdp_core.privacy.scan import Reader

Array = np.ndarray[Any, np.dtype[Any]]
SLICE_BYTES = 4 << 20
"""So much is looked at together: the numbers of all its brackets and quotes take many times as much."""
_BLANK, _QUOTE, _COMMA, _COLON, _SLASH = 32, 34, 44, 58, 92
_MARKS = np.zeros(256, bool)
_MARKS[list(b'"{}[]:,')] = True
_STEPS = np.zeros(256, np.int8)
_STEPS[list(b"{[")], _STEPS[list(b"}]")] = 1, -1
_BETWEEN = "\x1f"


def scan_all(texts: pl.Series, door: Door, reader: Reader, staging: Staging, prefix: Place = ()) -> pl.Series:
    """The texts as they may be stored, in their order; null stays null."""
    if texts.dtype != pl.String or texts.null_count() == texts.len():
        return texts
    mask = texts.str.contains_any(list(door.marks), ascii_case_insensitive=True).fill_null(False)
    if mask.all():
        return _in_slices(texts, door, reader, staging, prefix)
    some = texts.filter(mask)
    made = _in_slices(some, door, reader, staging, prefix) if len(some) else some
    return texts if made is some else texts.scatter(mask.arg_true(), made)


def _in_slices(texts: pl.Series, door: Door, reader: Reader, staging: Staging, prefix: Place) -> pl.Series:
    sizes = texts.str.len_bytes().fill_null(0).cum_sum() // SLICE_BYTES
    cuts = [0, *(np.flatnonzero(np.diff(sizes.to_numpy())) + 1).tolist(), len(texts)]
    slices = [texts.slice(start, end - start) for start, end in itertools.pairwise(cuts)]
    parts = [_slice(part, door, reader, staging, prefix) for part in slices]
    if all(part is None for part in parts):
        return texts
    return pl.concat([old if new is None else new for old, new in zip(slices, parts, strict=True)])


def _slice(texts: pl.Series, door: Door, reader: Reader, staging: Staging, prefix: Place) -> pl.Series | None:
    """None: nothing has to go."""
    mask = _concerned(*as_bytes(texts.fill_null("")), door)
    if not mask.any():
        return None
    data, offsets = as_bytes(texts.filter(pl.Series(mask)))
    tokens = _Tokens.of(data, offsets)
    found = _members(tokens, data, door, reader, prefix)
    if not found.height:
        return None
    edits = pl.concat([_dropped(tokens, found), _rewritten(data, found, door, staging)]).sort("start", "end")
    made = spliced(data, offsets, edits["start"].to_numpy(), edits["end"].to_numpy(), edits["instead"])
    return made.rename(texts.name) if mask.all() else texts.scatter(np.flatnonzero(mask), made)


def _concerned(data: Array, offsets: Array, door: Door) -> Array:
    """Which texts hold a name that may have a control. What stands before `":` is looked at without asking whether it
    is within a string: there it only costs a closer look.
    """
    quotes = np.flatnonzero(data == _QUOTE)
    quotes = quotes[~_escaped(data, quotes)]
    behind = data[np.minimum(quotes + 1, len(data) - 1)]
    ends = np.flatnonzero(((behind == _COLON) | (behind <= _BLANK)) & (np.arange(len(quotes)) > 0))
    names = spans(data, quotes[ends - 1] + 1, quotes[ends])
    wanted = [name for name in names.unique() if door.may_concern(_name(name.encode()))]
    mask = np.zeros(len(offsets) - 1, bool)
    if wanted:
        places = quotes[ends][names.is_in(pl.Series(wanted).implode()).to_numpy()]
        mask[np.searchsorted(offsets, places, side="right") - 1] = True
    return mask


@dataclass
class _Tokens:
    """Quotes, and brackets, commas and colons outside of strings: place in the bytes, what it is, in which text, and
    how many brackets are open behind it. `ends` are the ends of texts.
    """

    pos: Array
    kind: Array
    row: Array
    depth: Array
    ends: Array

    @classmethod
    def of(cls, data: Array, offsets: Array) -> _Tokens:
        pos = np.flatnonzero(_MARKS[data])
        pos = pos[~_escaped(data, pos)]
        kind = data[pos]
        row = np.repeat(np.arange(len(offsets) - 1), np.diff(np.searchsorted(pos, offsets)))
        quote = kind == _QUOTE
        outside = quote | (_within(quote, row) % 2 == 0)
        pos, kind, row = pos[outside], kind[outside], row[outside]
        return cls(pos, kind, row, _within(_STEPS[kind], row), offsets[1:])

    def keys(self, data: Array) -> tuple[Array, pl.Series]:
        """Colons behind a string, and what the strings say as they are written."""
        colons = np.flatnonzero(self.kind == _COLON)
        colons = colons[colons >= 2]
        sound = (self.kind[colons - 1] == _QUOTE) & (self.kind[colons - 2] == _QUOTE)
        colons = colons[sound & (self.row[colons - 2] == self.row[colons])]
        return colons, spans(data, self.pos[colons - 2] + 1, self.pos[colons - 1])

    def holders(self, tokens: Array, depths: Array) -> Array:
        """The bracket that each token stands in, by how many are open at it; -1 where there is none."""
        found = np.full(len(tokens), -1)
        for depth in np.unique(depths[depths > 0]):
            mine = depths == depth
            opening = self._opening.get(int(depth), np.zeros(0, int))
            place = np.searchsorted(opening, tokens[mine]) - 1
            found[mine] = np.where(place >= 0, np.append(opening, -1)[place], -1)
        lost = (found >= 0) & (self.row[found] != self.row[tokens])
        return np.where(lost, -1, found)

    @cached_property
    def _opening(self) -> dict[int, Array]:
        opening = np.flatnonzero(_STEPS[self.kind] == 1)
        return {int(d): opening[self.depth[opening] == d] for d in np.unique(self.depth[opening])}

    def behind(self, colons: Array) -> Array:
        """The token behind the value of a member; as many as there are tokens where the text ends before."""
        size = len(self.pos)
        kind, row = np.append(self.kind, 0), np.append(self.row, -1)
        value = colons + 1
        text = kind[value] == _QUOTE
        end = np.where(text, np.minimum(value + 2, size), value)
        inner = ~text & (_STEPS[kind[value]] == 1) & (row[value] == self.row[colons])
        closing = np.flatnonzero(_STEPS[self.kind] == -1)
        for depth in np.unique(self.depth[colons[inner]]):
            mine = inner & (self.depth[colons] == depth)
            same = closing[self.depth[closing] == depth]
            end[mine] = np.append(same + 1, size)[np.searchsorted(same, value[mine])]
        return np.where(row[np.minimum(end, size)] == self.row[colons], end, size)


def _within(change: Array, row: Array) -> Array:
    """Running totals that begin anew with each text."""
    total = np.cumsum(change, dtype=np.int64)
    if not len(row):
        return total
    first = np.flatnonzero(np.diff(row, prepend=-1))
    before = np.concatenate(([0], total))[first]
    return total - np.repeat(before, np.diff(np.append(first, len(row))))


def _escaped(data: Array, pos: Array) -> Array:
    """Quotes behind an odd number of backslashes."""
    escaped = np.zeros(len(pos), bool)
    suspects = np.flatnonzero((pos > 0) & (data[pos - 1] == _SLASH) & (data[pos] == _QUOTE))
    if len(suspects):
        other = np.flatnonzero(data != _SLASH)
        place = np.searchsorted(other, pos[suspects]) - 1
        previous = np.where(place >= 0, np.append(other, -1)[place], -1)
        escaped[suspects] = (pos[suspects] - 1 - previous) % 2 == 1
    return escaped


def _members(tokens: _Tokens, data: Array, door: Door, reader: Reader, prefix: Place) -> pl.DataFrame:
    """Members under a control, none within another: token, start, value, end, behind, control, name."""
    colons, names = tokens.keys(data)
    wanted = [name for name in names.unique() if door.may_concern(_name(name.encode()))]
    wanted += ["id"] if EXTERNAL[1] in wanted else []
    mine = colons[names.is_in(pl.Series(wanted, dtype=pl.String).implode()).to_numpy()]
    frame = pl.DataFrame(
        {"path": _paths(tokens, mine, colons, names), "kind": _kinds(tokens, data, mine, colons, names)}
    )
    said = []
    for path, kind in frame.unique().iter_rows():
        parts = (*prefix, *(_name(part.encode()) for part in path.split(_BETWEEN)))
        told = kind if parts[-3:] == EXTERNAL else None
        said.append((path, kind, reader(parts, told), told or parts[-1]))
    schema = ("path", "kind", "control", "name")
    decided = pl.DataFrame(said, schema=dict.fromkeys(schema, pl.String), orient="row")
    frame = frame.join(decided, on=["path", "kind"], how="left", nulls_equal=True, maintain_order="left")
    behind = tokens.behind(mine)
    pos = np.append(tokens.pos, 0)
    end = np.where(behind < len(tokens.pos), pos[behind], tokens.ends[tokens.row[mine]])
    frame = frame.select(
        "control",
        "name",
        token=mine - 2,
        start=tokens.pos[mine - 2],
        value=tokens.pos[mine] + 1,
        end=end,
        behind=behind,
    ).filter(pl.col("control") != "allow")
    outer = pl.col("end").cum_max().shift(1, fill_value=0)
    return frame.sort("start").filter(pl.col("start") >= outer)


def _paths(tokens: _Tokens, mine: Array, colons: Array, names: pl.Series) -> pl.Series:
    """All names on the way to each member, the outermost first."""
    path = names.gather(np.searchsorted(colons, mine)).rename("path")
    at, depth = mine.copy(), tokens.depth[mine].copy()
    while (depth > 1).any():
        bracket = tokens.holders(at, np.where(depth > 1, depth, 0))
        owner = np.searchsorted(colons, bracket - 1)
        named = (bracket > 0) & (np.append(colons, -1)[owner] == bracket - 1)
        outer = names.gather(np.where(named, np.minimum(owner, len(colons) - 1), 0))
        longer = pl.select(pl.concat_str(pl.lit(outer), pl.lit(_BETWEEN), pl.lit(path))).to_series()
        path = longer.zip_with(pl.Series(named), path)
        at, depth = np.where(bracket >= 0, bracket, at), np.where(bracket >= 0, depth - 1, 0)
    return path.rename("path")


def _kinds(tokens: _Tokens, data: Array, mine: Array, colons: Array, names: pl.Series) -> pl.Series:
    """What `type` says in the object of each member called `id`; null without one that is a text."""
    nothing = pl.Series("kind", [None] * len(mine), dtype=pl.String)
    ids = (names.gather(np.searchsorted(colons, mine)) == "id").to_numpy()
    if not ids.any():
        return nothing
    types = colons[(names == "type").to_numpy()]
    types = types[types + 2 < len(tokens.kind)]
    types = types[(tokens.kind[types + 1] == _QUOTE) & (tokens.row[types + 1] == tokens.row[types])]
    said = spans(data, tokens.pos[types + 1] + 1, tokens.pos[types + 2])
    holders = pl.DataFrame({"holder": tokens.holders(types, tokens.depth[types]), "kind": said})
    asked = pl.DataFrame({"holder": tokens.holders(mine, tokens.depth[mine])})
    found = asked.join(holders.unique("holder", keep="first", maintain_order=True), on="holder", how="left",
                       maintain_order="left")["kind"]  # fmt: skip
    return found.set(pl.Series(~ids), None).rename("kind")


def _dropped(tokens: _Tokens, found: pl.DataFrame) -> pl.DataFrame:
    """Neighbours that are dropped go together, with the comma before them, or else the one behind them."""
    gone = found.filter(pl.col("control") == "drop")
    follows = pl.col("token") == pl.col("behind").shift(1) + 1
    numbered = gone.with_columns(run=(~follows.fill_null(False)).cum_sum())
    ends = pl.col("token", "start").first(), pl.col("end", "behind").last()
    runs = numbered.group_by("run", maintain_order=True).agg(*ends)
    kind = np.append(tokens.kind, 0)
    first, last = runs["token"].to_numpy(), runs["behind"].to_numpy()
    comma = (first > 0) & (kind[first - 1] == _COMMA)
    start = np.where(comma, np.append(tokens.pos, 0)[first - 1], runs["start"].to_numpy())
    end = runs["end"].to_numpy() + (~comma & (kind[last] == _COMMA))
    return pl.DataFrame({"start": start, "end": end}).with_columns(instead=pl.lit(""))


def _rewritten(data: Array, found: pl.DataFrame, door: Door, staging: Staging) -> pl.DataFrame:
    parts = [pl.DataFrame(schema={"start": pl.Int64, "end": pl.Int64, "instead": pl.String})]
    others = found.filter(pl.col("control") != "drop")
    for (control, name), some in others.group_by("control", "name", maintain_order=True):
        raw = spans(data, some["value"].to_numpy(), some["end"].to_numpy())
        made: Any = changed_json_column(control, str(name), raw, door.key, staging)
        parts.append(some.select(pl.col("value").alias("start"), "end").with_columns(made.alias("instead")))
    return pl.concat(parts)
