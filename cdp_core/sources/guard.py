"""The door of a batch source: controls on personal data, carried out before anything reaches the staging file.

A column of a row is a place of its own (`crm.ssn`) and every place that the mapping takes it to (`crm.traits.email`,
`crm.user_id`; other identifiers are the traits of their name).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

import polars as pl

from cdp_core.engine import json_lines
from cdp_core.privacy.controls import changed_column
from cdp_core.privacy.redact import redacted, redacted_all, withheld
from cdp_core.privacy.scan import scanned
from cdp_core.privacy.scan_all import scan_all
from cdp_core.sources.base import LINE
from cdp_core.sources.declared import targets
from cdp_core.sources.spec import EVENT_IDENTIFIERS, MapSpec, SourceSpec
from cdp_core.sources.values import as_text

if TYPE_CHECKING:
    from cdp_core.engine import Staging
    from cdp_core.privacy.door import Door, Place
    from cdp_core.privacy.scan import Reader
    from cdp_core.privacy.spec import Control

NESTED = r"^\s*[\[{]"
BUCKETS = ("properties", "traits", "context", "extra")


def places_of(mapping: MapSpec, column: str) -> list[Place]:
    """Every place that a column is."""
    found: list[Place] = [(column,)]
    for name, source in mapping.identifiers.items():
        if source == column:
            found.append((name,) if name in EVENT_IDENTIFIERS else ("traits", name))
    for bucket, wanted in targets(mapping, [column]).items():
        found += [(bucket, target.name) for target in wanted if target.column == column]
    return list(dict.fromkeys(found))


def controlled(door: Door, mapping: MapSpec, columns: Iterable[str]) -> dict[str, tuple[Control, str]]:
    """Columns that are not let through as they are, each with its control and what its values are called."""
    told = {c: door.of_places(places_of(mapping, c)) for c in columns if c != LINE}
    return {column: said for column, said in told.items() if said[0] != "allow"}


def guarded_rows(rows: pl.DataFrame, mapping: MapSpec, door: Door, staging: Staging) -> tuple[pl.DataFrame, list[str]]:
    """Rows with controls carried out, and the columns that have changed. One that is dropped stays, empty, where the
    mapping needs it.
    """
    columns = [c for c in rows.columns if not c.startswith("_")]
    told = controlled(door, mapping, columns)
    used = mapping.used()
    gone = [c for c, (control, _) in told.items() if control == "drop"]
    made = [pl.Series(c, [None] * rows.height, dtype=pl.String) for c in gone if c in used]
    for column, (control, name) in told.items():
        if control != "drop":
            texts = rows.select(as_text(pl.col(column), rows.schema[column]).alias(column))[column]
            made.append(changed_column(control, name, texts, door.key, staging).rename(column))
    inner = [c for c in columns if c not in told and rows.schema[c] == pl.String]
    made += [new for c in inner if (new := _within(rows[c], places_of(mapping, c), door, staging)) is not rows[c]]
    return rows.with_columns(made).drop(c for c in gone if c not in used), list(told)


def _within(texts: pl.Series, places: list[Place], door: Door, staging: Staging) -> pl.Series:
    """Cells that hold JSON have places of their own."""
    nested = texts.str.contains(NESTED).fill_null(False)
    if not nested.any():
        return texts

    def reader(path: Place, kind: str | None) -> Control:
        return door.of_places([(*place, *path) for place in places])[0]

    found = texts.filter(nested)
    made = scan_all(found, door, reader, staging)
    return texts if made is found else texts.scatter(nested.arg_true(), made)


def guarded_events(rows: pl.DataFrame, door: Door, staging: Staging) -> pl.DataFrame:
    """Events of a source that gives them ready, as columns."""
    made = [
        scan_all(rows[c], door, door.of_event, staging, () if c == "extra" else (c,))
        for c in BUCKETS
        if c in rows.columns
    ]
    if "_payload" in rows.columns:
        made.append(scan_all(rows["_payload"], door, door.of_event, staging).rename("_payload"))
    for column in EVENT_IDENTIFIERS:
        control = door.control((column,)) if column in rows.columns else "allow"
        if control == "drop":
            made.append(pl.Series(column, [None] * rows.height, dtype=pl.String))
        elif control != "allow":
            made.append(changed_column(control, column, rows[column], door.key, staging).rename(column))
    return rows.with_columns(made)


def guarded_texts(texts: pl.Series, door: Door, staging: Staging) -> pl.Series:
    """Texts of events as they are sent."""
    return scan_all(texts, door, door.of_event, staging)


def guarded_payloads(
    texts: pl.Series, spec: SourceSpec, door: Door, staging: Staging, columns: Iterable[str] = ()
) -> pl.Series:
    """Contents of rows that are held, as the source gave them; see `redact` for those that cannot be read. `columns`
    are those that the source is known to have.
    """
    made = scan_all(texts, door, _reader(spec, door), staging)
    sound = json_lines.valid(staging, made.rename("t").to_frame())["t"].fill_null(False)
    broken = made.filter(~sound)
    if not broken.len():
        return made
    lines = ~broken.str.contains(NESTED).fill_null(False)
    if spec.map is not None and lines.any() and controlled(door, spec.map, {*columns, *spec.map.used()}):
        broken = broken.scatter(lines.arg_true(), withheld(broken.filter(lines), door.key, staging))
    return made.scatter((~sound).arg_true(), redacted_all(broken, door))


def guarded_content(text: str, spec: SourceSpec, door: Door) -> str:
    """One held row, as somebody has corrected it."""
    made = scanned(text.encode(errors="replace"), door, _reader(spec, door)).decode(errors="replace")
    try:
        json.loads(made)
    except (ValueError, RecursionError):
        return redacted(made, door)
    return made


def _reader(spec: SourceSpec, door: Door) -> Reader:
    mapping = spec.map
    if mapping is None:
        return door.of_event
    known: dict[str, list[Place]] = {}

    def reader(path: Place, kind: str | None) -> Control:
        if path[0] not in known:
            known[path[0]] = places_of(mapping, path[0])
        return door.of_places([(*place, *path[1:]) for place in known[path[0]]])[0]

    return reader
