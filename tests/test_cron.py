"""Cron texts mean what crontab(5) says, checked against a reading of its rules that tries every minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdp_core.cron import next_times, trigger
from cdp_core.errors import SpecError

START = datetime(2026, 2, 26, 22, 30, tzinfo=UTC)
NAMES = {"sun": 0, "mon": 1, "tue": 2, "wed": 3, "thu": 4, "fri": 5, "sat": 6}


def parsed(field: str, low: int, high: int) -> set[int]:
    found: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        numbers = [int(NAMES.get(text, text)) for text in (first, last) if text not in ("", "*")]
        start = numbers[0] if numbers else low
        end = numbers[-1] if numbers and (last or not step) else high
        found |= set(range(start, end + 1, int(step or 1)))
    return found


def by_hand(text: str, start: datetime, count: int) -> list[datetime]:
    minute, hour, day, month, weekday = text.split()
    minutes, hours, months = parsed(minute, 0, 59), parsed(hour, 0, 23), parsed(month, 1, 12)
    days, weekdays = parsed(day, 1, 31), {n % 7 for n in parsed(weekday, 0, 6)}
    found: list[datetime] = []
    at = start.replace(second=0, microsecond=0)
    while len(found) < count and at < start + timedelta(days=80):
        at += timedelta(minutes=1)
        if at.month not in months or at.hour not in hours or at.minute not in minutes:
            continue
        on_day, on_weekday = at.day in days, at.isoweekday() % 7 in weekdays
        either = not day.startswith("*") and not weekday.startswith("*")
        if (on_day or on_weekday) if either else (on_day and on_weekday):
            found.append(at)
    return found


@pytest.mark.parametrize(
    "text",
    [
        "*/15 * * * *",
        "0 9 * * 1",
        "0 9 * * 0",
        "0 9 * * 7",
        "0 9 * * 1-5",
        "0 9 * * 5-7",
        "0 9 * * sun,wed",
        "0 9 * * mon-fri",
        "0 9 * * */2",
        "0 9 1 * *",
        "0 9 13 * 5",
        "30 6 1,15 * 1",
        "5 4 */10 * 1",
        "59 23 28-31 2 *",
    ],
)
def test_times_are_those_of_cron(text: str) -> None:
    expected = by_hand(text, START, 6)
    assert expected
    assert next_times(text, START, 6)[: len(expected)] == expected


@settings(max_examples=40, deadline=None)
@given(
    minute=st.sampled_from(["0", "*/20", "7,44", "10-12"]),
    hour=st.sampled_from(["*", "3", "*/5", "8-10"]),
    day=st.sampled_from(["*", "1", "13", "27-28", "*/9"]),
    weekday=st.sampled_from(["*", "0", "7", "1-3", "3-7", "sat", "*/3", "0-6/2"]),
)
def test_any_text_means_what_cron_says(minute: str, hour: str, day: str, weekday: str) -> None:
    text = f"{minute} {hour} {day} * {weekday}"
    expected = by_hand(text, START, 4)
    assert next_times(text, START, 4)[: len(expected)] == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 8",
        "* * * * 5-1",
        "a * * * *",
        "* * * * mo",
        "*/0 * * * *",
        "1- * * * *",
        "@reboot",
        "0 0 * * 1;rm",
        "0 0 last * *",
        "0 0 * * 1#2",
    ],
)
def test_what_cron_refuses_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match=r"is no cron schedule; write five fields, such as"):
        trigger(text)


def test_macros_and_zones() -> None:
    assert next_times("@daily", START, 1) == [datetime(2026, 2, 27, tzinfo=UTC)]
    berlin = datetime.fromisoformat("2026-02-26T23:30:00+01:00")
    assert next_times("0 23 * * *", berlin, 1) == [datetime(2026, 2, 26, 23, tzinfo=UTC)]
    assert next_times("30 22 * * *", START, 1) == [START + timedelta(days=1)]
