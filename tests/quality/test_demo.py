"""The demo's suites on the demo's data: they hold the rows that were spoilt on purpose, and nothing else."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from quality_kit import NOW

from cdp_core.config import load_config
from cdp_core.engine.staging import Staging
from cdp_core.quality.check import check_batch
from cdp_core.quality.suites import load_suites
from cdp_core.quality.validator import Validator
from cdp_core.sources.stage import stage_sources
from cdp_core.tables import SOURCE_COLUMNS, SOURCE_STATE

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("source", ["shop_orders", "crm_contacts", "web_events", "support_tickets", "newsletter"])
def test_only_rows_spoilt_on_purpose_are_held(source: str, staging: Staging, validator: Validator) -> None:
    spec = load_config(ROOT).sources[source]
    stage_sources(
        {source: spec},
        staging,
        state=SOURCE_STATE.empty(),
        columns=SOURCE_COLUMNS.empty(),
        root=ROOT,
        now=NOW,
        full=True,
    )
    suites = [s for s in load_suites(ROOT / "expectations") if s.kind == "source"]
    name = f"rows_{source}"
    verdict = check_batch(staging, suites, validator, source_tables={source: name}, run_id="r1", now=NOW)
    held = staging.polars(staging.table("held"))
    spoilt = _spoilt(source)
    assert held.height == sum(spoilt.values())
    fields = Counter(", ".join({r["field"] for r in json.loads(reasons)}) for reasons in held["reasons"])
    assert sorted(fields.values()) == sorted(spoilt.values()), fields
    assert not verdict.stopped
    unknown = verdict.results.filter(pl.col("observed").str.contains("could not|not in the batch"))
    assert unknown.is_empty()


def _spoilt(source: str) -> dict[str, int]:
    """Rows by the rule they break, as data/README.md lists them."""
    text = (ROOT / "data" / "README.md").read_text()
    found = re.findall(rf"^\| {source}: (.+?) \| ([\d,]+) \|$", text, re.MULTILINE)
    return {rule: int(count.replace(",", "")) for rule, count in found}
