"""Formatting, and the words of a job's progress. Examples are in the docstrings; here are the edges."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from cdp_core.dashboard import formatting as f
from cdp_core.dashboard.views.customer import summary

NOW = datetime(1998, 7, 1)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "just now"), (59, "just now"), (60, "1 minute ago"), (7200, "2 hours ago"), (86400 * 29, "29 days ago"),
     (86400 * 400, "1 year ago"), (-3600, "in 1 hour")],
)  # fmt: skip
def test_ago(seconds: int, words: str) -> None:
    assert f.ago(NOW - timedelta(seconds=seconds), NOW) == words


def test_nothing_is_a_dash() -> None:
    assert [f.number(None), f.money(None, "USD"), f.percent(None), f.exact(None), f.duration(None)] == ["–"] * 5
    assert f.ago(None, NOW) == "never"


def test_money_of_an_unknown_currency_has_none() -> None:
    assert f.money(1234.5, None) == "1,234.50"
    assert f.money_format("XYZ") == "%,.2f XYZ"


def test_markdown_of_data_is_text() -> None:
    assert f.escape("**a** [b](c) <d> :red[e]") == r"\*\*a\*\* \[b\]\(c\) \<d\> \:red\[e\]"


def test_an_event_in_a_few_words() -> None:
    assert summary({"total": 12.5, "currency": "EUR", "quantity": 1}) == "€12.50 · 1 item"
    assert summary({"path": "/shop", "title": "Shop"}) == "Shop · /shop"
    assert summary({"colour": "red"}) == "Colour red"
    assert summary({}) == ""
