"""Anomalies on the quality page: the list, the series behind each, and what there is to see without history."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from anomaly_worlds import DAYS, NOW, SPIKE, day, publish, shop_events
from streamlit.testing.v1 import AppTest
from test_pages import drawn, words

import cdp_core as cdp
from cdp_core.dashboard.views import anomalies as view

pytestmark = pytest.mark.usefixtures("fresh_caches")
VIEW = "Anomalies"
PERSON = "ann.secret@example.org"


def workspace(root: Path, rows: list[dict[str, object]]) -> Path:
    root.mkdir()
    source = "sources:\n  shop: {type: segment, path: in/*.ndjson}\n"
    (root / "cdp.yaml").write_text(f"name: t\ntoday: {NOW.date()}\n{source}")
    with cdp.open(root) as ws:
        publish(ws.engine, rows)
    return root


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A day with four times the usual orders, five of them in a genre that is somebody's address."""
    rows = shop_events(usual=100, volume={SPIKE: 4.0}, novel=SPIKE)
    rows = [{**row, "properties": row["properties"].replace("polka", PERSON)} for row in rows]
    return workspace(tmp_path_factory.mktemp("page") / "shop", rows)


@pytest.fixture(scope="module")
def rows(shop: Path) -> Iterator[pl.DataFrame]:
    with cdp.open(shop) as ws:
        yield view.series(ws)


def chosen(at: AppTest) -> dict[str, str]:
    return {box.label: box.value for box in at.selectbox}


def test_the_list_says_it_in_words_and_masks_values(rows: pl.DataFrame) -> None:
    hidden, shown = view.found(rows, False), view.found(rows, True)
    assert hidden["kind"].to_list() == shown["kind"].to_list()
    assert set(hidden["kind"]) == {"volume", "new_values"}
    assert hidden["day"].unique().to_list() == [SPIKE]
    volume = shown.filter(pl.col("kind") == "volume")["what"].item()
    assert volume.startswith("shop · Order: ")
    assert " events on Sat 21 Mar 2026, usually " in volume
    new = pl.col("kind") == "new_values"
    assert PERSON in shown.filter(new)["what"].item()
    assert PERSON not in hidden.filter(new)["what"].item()
    assert "a••" in hidden.filter(new)["what"].item()


def test_the_chart_has_the_band_and_the_day_out_of_it(rows: pl.DataFrame) -> None:
    frame = view.one(rows, view.Chosen("volume", "shop", "Order", None))
    assert frame["day"].to_list() == [day(n) for n in range(DAYS)]
    judged = frame.filter(pl.col("high").is_not_null())
    assert judged["day"].to_list() == [day(n) for n in range(DAYS - 28, DAYS)]
    odd = frame.filter("anomaly").row(0, named=True)
    assert odd["day"] == SPIKE
    assert odd["value"] > odd["high"] > odd["usual"] > odd["low"] > 0
    assert odd["seen"] == f"{int(odd['value'])} events"
    low, _, high = odd["range"].partition(" to ")
    assert odd["low"] <= int(low) < int(high) <= odd["high"]
    assert odd["compared"] == "8 days"
    assert frame["range"][0] == "not enough history"
    missing = view.one(rows, view.Chosen("missing", "shop", "Order", "properties.total"))
    assert missing["value"].max() == 0
    assert missing["seen"][0].startswith("0% of ")
    assert view.one(rows, view.Chosen("violations", "shop", None, None)).height == DAYS


def test_the_newest_anomaly_is_open_at_first(shop: Path) -> None:
    at = drawn("quality", shop, view=VIEW)
    assert "Days unlike those before" in words(at)
    assert "5 deviations" in words(at)
    first = at.dataframe[0].value
    assert len(first) == 2
    assert PERSON not in str(first.to_dict())
    assert chosen(at) == {"Kind": "volume", "Source": "shop", "Event": "Order"}
    at.session_state["revealed"] = True
    at.run()
    assert PERSON in str(at.dataframe[0].value.to_dict())


def test_a_link_opens_a_series_and_boxes_follow_each_other(shop: Path) -> None:
    at = drawn("quality", shop, view=VIEW, series_kind="Missing fields", series_event="Order")
    assert chosen(at)["Kind"] == "missing"
    assert chosen(at)["Event"] == "Order"
    at.selectbox(key="series_field").select("properties.total").run()
    assert "Share of events without a value" in words(at)
    at.selectbox(key="series_kind").select("violations").run()
    assert not at.exception
    assert chosen(at) == {"Kind": "violations", "Source": "shop"}
    at.selectbox(key="series_kind").select("new_values").run()
    assert not at.exception
    assert chosen(at)["Field"] == "properties.genre"


def test_a_link_that_leads_nowhere_opens_what_there_is(shop: Path) -> None:
    at = drawn("quality", shop, view=VIEW, series_kind="Nonsense", series_source="gone", series_field="x")
    assert chosen(at)["Source"] == "shop"


def test_a_quiet_source_says_so(tmp_path: Path) -> None:
    at = drawn("quality", workspace(tmp_path / "quiet", shop_events(usual=30)), view=VIEW)
    assert "No day is unlike those before it" in words(at)
    assert chosen(at)["Kind"] == "volume"


def test_too_little_history_says_how_much_it_takes(tmp_path: Path) -> None:
    rows = shop_events(usual=10, days=range(DAYS - 9, DAYS))
    at = drawn("quality", workspace(tmp_path / "young", rows), view=VIEW)
    assert "There is not enough history yet" in words(at)
    assert chosen(at)["Source"] == "shop"


def test_nothing_loaded_says_so(tmp_path: Path) -> None:
    at = drawn("quality", workspace(tmp_path / "empty", []), view=VIEW)
    assert "There are no days to compare" in words(at)
