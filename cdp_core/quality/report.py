"""The quality report: one HTML page that needs no network.

Great Expectations' own Data Docs link style sheets and scripts from elsewhere, so they are bare where there is none.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdp_core.errors import UsageError
from cdp_core.modes import private_file

if TYPE_CHECKING:
    import polars as pl

_ORDER = {"stop": 0, "quarantine": 1, "warn": 2}
_MEANING = {"stop": "stops the run", "quarantine": "holds rows", "warn": "counts"}
Row = Mapping[str, Any]


def write_report(path: Path, *, results: pl.DataFrame, violations: pl.DataFrame, run: Mapping[str, Any]) -> None:
    """Write the page for one run: rows of `quality_results` and `violations` with its run_id, and its row of `runs`.

    Raises UsageError when the file cannot be written.
    """
    page = render(results.to_dicts(), violations.to_dicts(), run)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        private_file(path)
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"the report cannot be written: {reason}", where=str(path)) from None


def render(results: Sequence[Row], violations: Sequence[Row], run: Row) -> str:
    """The page as text. Every value is escaped; no customer's value is in it, only names, counts and message ids."""
    style = Path(__file__).with_name("report.css").read_text(encoding="utf-8")
    known = {row["rule"] for row in results}
    planned = [row for row in violations if row["rule"].startswith("plan.") and row["rule"] not in known]
    unread = [row for row in violations if row["rule"] not in known and row not in planned]
    sections = (
        _heading(run),
        _tiles(results, violations),
        "<h2>What failed</h2>" + _failed(results, violations),
        "<h2>What breaks a tracking plan</h2>" + _planned(planned) if planned else "",
        "<h2>Rows that could not be read</h2>" + _unread(unread) if unread else "",
        "<h2>Suites</h2>" + "".join(_suites(results)),
        "<footer>Checked by Great Expectations. Times are UTC.</footer>",
    )
    title = f"Quality report {_text(run.get('run_id'))}"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{title}</title>\n<style>\n{style}</style></head>\n'
        f"<body><main>{''.join(sections)}</main></body></html>\n"
    )


def _heading(run: Row) -> str:
    status = str(run.get("status") or "running")
    tone = {"succeeded": "good", "failed": "stop", "stopped": "stop"}.get(status, "warn")
    error = f'<p class="lead">{_text(run["error"])}</p>' if run.get("error") else ""
    return (
        f'<header><h1>Quality report</h1><p class="lead">Run {_text(run.get("run_id"))} · '
        f'{_time(run.get("started_at"))} · <span class="badge {tone}">{_text(status)}</span></p>{error}</header>'
    )


def _tiles(results: Sequence[Row], violations: Sequence[Row]) -> str:
    passed = sum(1 for row in results if row["success"])
    failing = {s: sum(1 for r in results if not r["success"] and r["severity"] == s) for s in _ORDER}
    held = sum(row["count"] for row in violations if row["severity"] == "quarantine")
    share = f"{passed / len(results):.0%}" if results else "–"
    tiles = (
        (f"{len(results):,}", "expectations checked"),
        (share, f"passed ({passed:,})"),
        (f"{failing['stop']:,}", "failed and stop the run"),
        (f"{held:,}", "reasons to hold a row"),
        (f"{failing['warn']:,}", "warnings"),
    )
    return (
        '<div class="tiles">'
        + "".join(f'<div class="tile"><b>{n}</b><span>{t}</span></div>' for n, t in tiles)
        + "</div>"
    )


def _failed(results: Sequence[Row], violations: Sequence[Row]) -> str:
    failed = [row for row in results if not row["success"]]
    if not failed:
        return '<p class="none">Every expectation passed.</p>'
    failed.sort(key=lambda row: (_ORDER.get(row["severity"], 3), -row["failed"], row["table_name"], row["rule"]))
    head = ("Severity", "Table", "Rule", "Observed", "Message ids, for example")
    return _table(head, (_failed_row(row, violations) for row in failed))


def _failed_row(row: Row, violations: Sequence[Row]) -> tuple[str, ...]:
    mine = [v for v in violations if v["rule"] == row["rule"] and v["field"] == row["field"] and _about(v, row)]
    said = f"<small>{_text(mine[0]['description'])}</small>" if mine else ""
    field = f" <code>{_text(row['field'])}</code>" if row["field"] else ""
    return (
        _badge(row["severity"]),
        _text(row["table_name"]),
        f"<b>{_text(row['rule'])}</b>{field}{said}",
        _text(row["observed"]),
        _sample(mine),
    )


def _about(violation: Row, row: Row) -> bool:
    return violation["source"] in (None, row["table_name"]) or row["table_name"] == "events"


def _unread(violations: Sequence[Row]) -> str:
    rows = (
        (
            _text(v["source"]),
            f"<b>{_text(v['rule'])}</b> <code>{_text(v['field'])}</code><small>{_text(v['description'])}</small>",
            f"{v['count']:,}",
            _sample([v]),
        )
        for v in violations
    )
    return _table(("Source", "Rule", "-Rows", "Message ids, for example"), rows)


def _planned(violations: Sequence[Row]) -> str:
    rows = (
        (
            _badge(v["severity"]),
            _text(v["source"]),
            _text(v["event"]),
            f"<b>{_text(v['rule'])}</b> <code>{_text(v['field'])}</code><small>{_text(v['description'])}</small>",
            f"{v['count']:,}",
            _sample([v]),
        )
        for v in violations
    )
    return _table(("Severity", "Source", "Event", "Rule", "-Events", "Message ids, for example"), rows)


def _suites(results: Sequence[Row]) -> Iterable[str]:
    by_suite: dict[tuple[str, str], list[Row]] = {}
    for row in results:
        by_suite.setdefault((row["table_name"], row["suite"]), []).append(row)
    for (table, suite), rows in sorted(by_suite.items(), key=lambda item: (-_failing(item[1]), item[0])):
        name = _text(table) if table == suite else f"{_text(table)}<small> · {_text(suite)}</small>"
        lines = (
            (
                '<span class="good">✓ passed</span>' if row["success"] else '<span class="stop">✗ failed</span>',
                f"<b>{_text(row['rule'])}</b><small>{_text(row['expectation'])}</small>",
                f"<code>{_text(row['field'])}</code>",
                _badge(row["severity"]),
                _text(row["observed"]),
            )
            for row in sorted(rows, key=lambda row: (row["success"], row["rule"]))
        )
        table_text = _table(("Result", "Rule", "Field", "If it fails", "Observed"), lines)
        yield f"<details><summary><b>{name}</b>{_bar(rows)}</summary>{table_text}</details>"


def _bar(rows: Sequence[Row]) -> str:
    passed = len(rows) - _failing(rows)
    parts = [("good", passed)]
    parts += [(s, sum(1 for r in rows if not r["success"] and r["severity"] == s)) for s in reversed(_ORDER)]
    pieces = "".join(f'<i class="{tone}" style="flex:{count}"></i>' for tone, count in parts if count)
    label = f"{passed} of {len(rows)} passed"
    return f'<span class="bar" role="img" aria-label="{label}">{pieces}</span><span class="share">{label}</span>'


def _failing(rows: Sequence[Row]) -> int:
    return sum(1 for row in rows if not row["success"])


def _table(head: Iterable[str], rows: Iterable[tuple[str, ...]]) -> str:
    """A table of cells that are HTML already; a heading that begins with "-" is a column of numbers."""
    names = tuple(head)
    kinds = [' class="number"' if name.startswith("-") else "" for name in names]
    top = "".join(f"<th{kind}>{name.lstrip('-')}</th>" for name, kind in zip(names, kinds, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{kind}>{cell}</td>" for cell, kind in zip(row, kinds, strict=True)) + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _sample(violations: Sequence[Row]) -> str:
    keys = [key for violation in violations for key in json.loads(violation["sample"] or "[]")]
    return "<br>".join(f"<code>{_text(key)}</code>" for key in keys[:3])


def _badge(severity: str) -> str:
    return f'<span class="badge {_text(severity)}" title="{_MEANING.get(severity, "")}">{_text(severity)}</span>'


def _time(moment: Any) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else ""


def _text(value: Any) -> str:
    return escape("" if value is None else str(value))
