"""The page of a package: everything in one HTML file that fetches nothing, runs nothing, and escapes every value."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

    from cdp_core.privacy.sections import Section

SHOWN = 500
"""Rows of a table on the page; the CSV has all of them."""
_LONG = 34
"""Letters from which on a value is broken into lines."""
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z")
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""Even if something that is not escaped came in, the browser would neither run nor fetch it."""


def page(about: Mapping[str, Any], sections: Sequence[tuple[Section, pl.DataFrame | None]]) -> Iterator[str]:
    """The parts of the page, in order; each section with its first rows."""
    style = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    title = f"What {about['workspace']} holds about you"
    yield (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f'<meta name="viewport" content="width=device-width"><title>{escape(title)}</title>\n'
        f"<style>\n{style}</style></head>\n<body><main><header><h1>{escape(title)}</h1>"
        f'<p class="lead">As of {escape(str(about["made_at"]))}. Times are UTC.</p></header>\n'
    )
    yield _tiles(sections)
    yield "<h2>Your rights</h2>" + "".join(f"<p>{escape(text)}</p>" for text in about["rights"])
    yield _facts("Where it comes from", about["sources"], ("source", "purpose", "events"))
    yield _facts("Who receives it", about["recipients"], ("recipient", "type", "purpose", "rows"))
    yield _facts("What it is used for", about["purposes"], ("used for", "purpose"))
    yield "<h2>How long it is kept</h2>" + "".join(f"<p>{escape(text)}</p>" for text in about["retention"])
    yield "<h2>What is held</h2>"
    for section, rows in sections:
        yield _section(section, rows)
    yield (
        "<footer>The same is in person.json, for machines, and in one CSV file per table. In the CSV files a text that "
        "a spreadsheet would take for a formula begins with an apostrophe.</footer></main></body></html>\n"
    )


def _tiles(sections: Sequence[tuple[Section, Any]]) -> str:
    counts = {section.name: section.rows for section, _ in sections}
    tiles = (
        ("identifiers", "identifiers"), ("traits", "values of your profile"), ("events", "events"),
        ("audiences", "groups you are in"), ("sent", "rows at recipients"), ("held", "rows held back"),
    )  # fmt: skip
    shown = "".join(
        f'<div class="tile"><b>{counts.get(name, 0):,}</b><span>{text}</span></div>' for name, text in tiles
    )
    return f'<div class="tiles">{shown}</div>\n'


def _facts(title: str, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    if not rows:
        return f'<h2>{title}</h2><p class="none">Nothing.</p>\n'
    cells = [[row.get(c.replace(" ", "_")) for c in columns] for row in rows]
    return f"<h2>{title}</h2>{_table(columns, cells)}\n"


def _section(section: Section, rows: pl.DataFrame | None) -> str:
    head = (
        f"<summary><b>{escape(section.title)}</b><small>{escape(section.about)}</small>"
        f'<span class="count">{section.rows:,}</span></summary>'
    )
    if rows is None:
        return f'<details class="empty">{head}<p class="none">Nothing.</p></details>\n'
    more = section.rows - rows.height
    note = f'<p class="more">{more:,} more rows are in {escape(section.name)}.csv.</p>' if more > 0 else ""
    turned = rows.height == 1 and rows.width > 6
    if turned:
        pairs = [(name, value) for name, value in rows.row(0, named=True).items() if value is not None]
        table = _table(("", ""), pairs)
    else:
        filled = [c for c in rows.columns if rows[c].null_count() < rows.height and c != "profile_id"]
        table = _table(filled, rows.select(filled).rows())
    is_open = " open" if section.rows <= 50 else ""
    return f"<details{is_open}>{head}{table}{note}</details>\n"


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    heads = "".join(f"<th>{escape(str(c).replace('_', ' '))}</th>" for c in columns)
    lines = ("<tr>" + "".join(f"<td>{_value(value)}</td>" for value in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'


def _value(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = str(value)
    if _TIME.fullmatch(text):
        return f"{text[:10]} {text[11:19]}"
    shown = escape(text)
    if text.startswith(("{", "[")):
        return f"<code>{shown}</code>"
    return f'<div class="long">{shown}</div>' if len(text) > _LONG else shown
