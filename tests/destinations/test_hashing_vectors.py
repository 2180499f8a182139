"""Every published vector, and what must hold for any value at all."""

from __future__ import annotations

import json
import re
from datetime import date, datetime
from importlib.resources import files
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdp_core.destinations.hashing import FIELDS, REASONS, normalised
from cdp_core.errors import DestinationError

VECTORS = json.loads((files("cdp_core.destinations.hashing") / "vectors.json").read_text(encoding="utf-8"))
ALL = [(platform, field) for platform, fields in FIELDS.items() for field in fields]


def told(vector: dict[str, Any]) -> tuple[Any, Any, Any]:
    options = dict(vector["options"])
    country = pl.Series([options.pop("country")]) if "country" in options else None
    values = pl.Series([vector["raw"]], dtype=pl.String if vector["raw"] is None else None)
    return normalised(values, vector["destination"], vector["field"], country=country, **options).row(0)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: f"{v['destination']}-{v['field']}-{v['raw']!r}")
def test_vector(vector: dict[str, Any]) -> None:
    text, value, reason = told(vector)
    assert (text, reason) == (vector["normalised"], vector["reason"]), vector["note"]
    hashed = FIELDS[vector["destination"]][vector["field"]].digest != "none"
    assert value == (vector["hash"] if hashed else vector["normalised"])


def test_the_file_covers_every_field_and_every_reason() -> None:
    assert len(VECTORS) >= 120
    assert {(v["destination"], v["field"]) for v in VECTORS} == set(ALL)
    assert {v["reason"] for v in VECTORS} - {None} == set(REASONS)
    assert all(v["note"] and v["source"] for v in VECTORS)
    assert len({json.dumps([v["destination"], v["field"], v["raw"], v["options"]]) for v in VECTORS}) == len(VECTORS)


TEXT = st.one_of(
    st.none(),
    st.text(max_size=20),
    st.text(alphabet=" .@+-0123456789aİßΣé\u0301\u200c\u200b\u00a0,'gmail.com/", max_size=24),
    st.sampled_from([str(v["raw"]) for v in VECTORS if v["raw"] is not None]),
)


@pytest.mark.parametrize(("platform", "field"), ALL)
@settings(max_examples=25, deadline=None)
@given(values=st.lists(TEXT, max_size=8))
def test_any_value_is_hashed_or_has_a_reason(platform: str, field: str, values: list[str | None]) -> None:
    raw = pl.Series(values, dtype=pl.String)
    found = normalised(raw, platform, field, region="DE")
    assert found.height == len(values)
    shape = {"sha256": r"[0-9a-f]{64}", "md5": r"[0-9a-f]{32}", "none": r".+"}[FIELDS[platform][field].digest]
    for text, value, reason in found.rows():
        assert (text is None) == (value is None) == (reason in REASONS), (text, value, reason)
        assert value is None or re.fullmatch(shape, value, re.DOTALL)
    backwards = normalised(raw.reverse(), platform, field, region="DE").reverse()
    assert backwards.equals(found), "the order of rows matters"
    again = found["normalised"]
    if (platform, field) == ("meta", "PHONE"):
        again = pl.select(pl.when(again.str.len_chars() < 64).then("+" + again).otherwise(again)).to_series()
    twice = normalised(again, platform, field, region="DE")
    assert twice["normalised"].equals(found["normalised"]), "a second time changes it"


def test_dates_and_times_are_read_as_they_are() -> None:
    born = [date(1997, 2, 6), None]
    parts = [normalised(pl.Series(born), "meta", field)["normalised"].to_list() for field in ("DOBY", "DOBM", "DOBD")]
    assert parts == [["1997", None], ["02", None], ["06", None]]
    time = pl.Series([datetime(1997, 12, 31, 23, 59)])
    assert normalised(time, "meta", "DOBM")["normalised"].item() == "12"


def test_a_row_keeps_its_own_country() -> None:
    numbers = pl.Series(["030 901820", "030 901820", "030 901820", "030 901820"])
    countries = pl.Series(["Germany", None, "", "Atlantis"])
    found = normalised(numbers, "google", "phone", country=countries)
    assert found["normalised"].to_list() == ["+4930901820", None, None, None]
    assert found["reason"].to_list() == [None, *["no_country_code"] * 3]


@pytest.mark.parametrize(
    ("platform", "field", "options", "choice"),
    [("tiktok", "EMAIL", {}, "meta"), ("meta", "email", {}, "EMAIL"), ("meta", "PHONE", {"region": "XX"}, "US")],
)
def test_what_is_unknown_is_named(platform: str, field: str, options: dict[str, str], choice: str) -> None:
    with pytest.raises(DestinationError) as error:
        normalised(pl.Series(["x"]), platform, field, **options)  # type: ignore[arg-type]
    assert choice in str(error.value)
