"""docs/reference/tables.md, written from the canonical tables: `python tests/docs/tables_page.py` writes it anew."""

from __future__ import annotations

from pathlib import Path

from cdp_core.tables import CANONICAL, Table

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "tables.md"
_TYPES = {
    "string": "text",
    "int64": "integer",
    "float64": "number",
    "boolean": "true or false",
    "timestamp(6)": "time (UTC)",
}
_JSON = {
    "subject_hmac",
    "details",
    "properties",
    "traits",
    "context",
    "payload",
    "reasons",
    "stages",
    "candidates",
    "sample",
}
_HEAD = """# Tables

Everything between the stages is one of these tables. `cdp sql` reads all of them, `ws.table(NAME)` gives one as an Ibis expression. Nothing but a run and a sync writes them.

```console
$ cdp sql "SELECT source, type, count(*) AS events FROM events GROUP BY ALL ORDER BY ALL"
source type events
…
```

All times are UTC. Columns marked *JSON* hold JSON text; `json_extract_string(properties, '$.total')` reads a value out of one. An identifier is a pair of
`type` and `value`, written `type:value` in commands. `source` is a source's name in `cdp.yaml`, `run_id` the run that wrote the row.

This page is written from the definitions in the code, and a test compares the two.
"""


def page() -> str:
    listed = "\n".join(f"* [`{t.name}`](#{t.name}): {_first_sentence(t.meaning)}" for t in CANONICAL.values())
    return "\n".join([_HEAD, listed, "", *map(_section, CANONICAL.values())])


def _section(table: Table) -> str:
    key = ", ".join(f"`{column}`" for column in table.key) or "none"
    rows = [
        f"| `{name}` | {_TYPES[kind]}{', *JSON*' if _is_json(name) else ''} |" for name, kind in table.columns.items()
    ]
    more = ["", "Behind these stands one typed column per trait, in the order of `cdp.yaml`."] if table.open else []
    head = [f"## {table.name}", "", table.meaning, "", f"Key: {key}.", "", "| column | type |", "|---|---|"]
    return "\n".join([*head, *rows, *more, ""])


def _is_json(column: str) -> bool:
    return column in _JSON


def _first_sentence(text: str) -> str:
    return text.split(". ")[0].rstrip(".") + "."


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
