"""The report: one page, complete, escaped, and nothing fetched."""

from __future__ import annotations

import json
import re
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from cdp_core.errors import UsageError
from cdp_core.quality.report import write_report
from cdp_core.tables import QUALITY_RESULTS, VIOLATIONS

AT = datetime(1998, 7, 1, 3, 4, 5)
RUN = {"run_id": "r1", "status": "stopped", "error": "stopped <here>", "started_at": AT}


def _result(rule: str, severity: str, failed: int, table: str = "crm", **more: Any) -> dict[str, Any]:
    return {"run_id": "r1", "suite": table, "table_name": table, "rule": rule, "expectation": "expect_x", "field": "f",
            "severity": severity, "checked": 100, "failed": failed, "success": not failed, "observed": f"saw {failed}",
            "at": AT, **more}  # fmt: skip


def _violation(rule: str, source: str | None = "crm", **more: Any) -> dict[str, Any]:
    return {"run_id": "r1", "source": source, "event": None, "rule": rule, "field": "f", "description": f"about {rule}",
            "severity": "warn", "count": 3, "first_seen": AT, "last_seen": AT, "sample": '["k1"]', **more}  # fmt: skip


def _page(tmp_path: Path, results: list[dict[str, Any]], violations: list[dict[str, Any]]) -> str:
    path = tmp_path / "new" / "report.html"
    write_report(
        path,
        results=pl.DataFrame(results, schema=QUALITY_RESULTS.polars_schema()),
        violations=pl.DataFrame(violations, schema=VIOLATIONS.polars_schema()),
        run=RUN,
    )
    return path.read_text(encoding="utf-8")


class _Balance(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_failing_rules_come_first_the_gravest_on_top(tmp_path: Path) -> None:
    results = [_result("fine", "stop", 0), _result("few", "warn", 90), _result("held", "quarantine", 2),
               _result("gone", "stop", 1), _result("more", "quarantine", 7)]  # fmt: skip
    page = _page(tmp_path, results, [_violation("held", sample='["k1", "k2"]'), _violation("map.time")])
    failed = page[page.index("What failed") : page.index("Rows that could not be read")]
    assert re.findall(r"<b>(\w+)</b>", failed) == ["gone", "more", "held", "few"]
    assert "about held" in failed
    assert "<code>k2</code>" in failed
    unread = page[page.index("Rows that could not be read") : page.index("<h2>Suites")]
    assert "map.time" in unread
    assert "1 of 5 passed" in page
    assert "20%" in page


def test_what_breaks_a_plan_has_its_own_place(tmp_path: Path) -> None:
    found = [_violation("plan.enum", "web", event="Paid <b>", count=1234), _violation("map.time")]
    page = _page(tmp_path, [_result("fine", "stop", 0)], found)
    planned = page[page.index("What breaks a tracking plan") : page.index("Rows that could not be read")]
    assert "Paid &lt;b&gt;" in planned
    assert "1,234" in planned
    assert "map.time" not in planned
    assert "plan.enum" not in page[page.index("Rows that could not be read") :]


def test_samples_stand_with_the_source_they_are_of(tmp_path: Path) -> None:
    results = [_result("shape", "warn", 1, "crm"), _result("shape", "warn", 1, "news")]
    mine = [_violation("shape", "crm", sample='["of_crm"]'), _violation("shape", "news", sample='["of_news"]')]
    page = _page(tmp_path, results, mine)
    rows = re.findall(r"<tr>.*?</tr>", page[page.index("What failed") : page.index("<h2>Suites")])
    assert [("crm</td>" in row, "of_crm" in row, "of_news" in row) for row in rows[1:]] == [
        (True, True, False),
        (False, False, True),
    ]


def test_everything_is_escaped(tmp_path: Path) -> None:
    evil = '<script>alert("x")</script>&'
    results = [_result(evil, "warn", 1, table=evil, observed=evil, field=evil, expectation=evil, suite=evil + "2")]
    violations = [
        _violation(evil, evil, description=evil, sample=json.dumps([evil]), field=evil),
        _violation("u", evil),
    ]
    page = _page(tmp_path, results, violations)
    assert "<script" not in page
    assert "stopped &lt;here&gt;" in page
    parser = _Balance()
    parser.feed(page)
    assert parser.open == []


def test_nothing_is_fetched(tmp_path: Path) -> None:
    page = _page(tmp_path, [_result("a", "warn", 1)], [_violation("a")])
    assert not re.search(r"https?:|src=|href=|@import|url\(", page)
    assert "prefers-color-scheme: dark" in page


def test_a_run_without_failures_says_so(tmp_path: Path) -> None:
    page = _page(tmp_path, [_result("a", "warn", 0)], [])
    assert "Every expectation passed." in page
    assert "could not be read" not in page


def test_a_file_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    empty = {"results": QUALITY_RESULTS.empty(), "violations": VIOLATIONS.empty(), "run": RUN}
    with pytest.raises(UsageError, match="the report cannot be written: is a directory"):
        write_report(tmp_path, **empty)
