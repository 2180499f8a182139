"""Cron texts: five fields, read as cron reads them, in UTC.

APScheduler counts weekdays from Monday = 0 and wants day and weekday to match both; cron counts from Sunday = 0 (or 7)
and, when both are restricted, takes either (crontab(5)). A text that is installed with cron and also run by the
scheduler must mean the same, so weekdays are translated to names and "either" becomes two triggers.
"""

from __future__ import annotations

import re
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from cdp_core.errors import SpecError

if TYPE_CHECKING:
    from apscheduler.triggers.base import BaseTrigger

EXAMPLE = "write five fields, such as '*/15 * * * *' (every 15 minutes) or '0 6 * * 1-5' (6:00 UTC, Monday to Friday)"
MACROS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_PART = re.compile(r"(?P<first>\*|\w+)(?:-(?P<last>\w+))?(?:/(?P<step>[1-9]\d*))?")
_NUMBERS, _NAMES = re.compile(r"[0-9*,/-]+"), re.compile(r"[0-9a-z*,/-]+")


def trigger(text: str, *, where: str | None = None) -> BaseTrigger:
    """The APScheduler trigger of a cron text, in UTC. Raises SpecError when cron would not accept the text.

    >>> from datetime import UTC, datetime
    >>> trigger("0 9 * * 1").get_next_fire_time(None, datetime(1998, 7, 1, tzinfo=UTC)).strftime("%a %d %H:%M")
    'Mon 06 09:00'
    """
    from apscheduler.triggers.combining import OrTrigger
    from apscheduler.triggers.cron import CronTrigger

    try:
        minute, hour, day, month, weekday = _fields(text)
        common = {"minute": minute, "hour": hour, "month": month, "timezone": "UTC"}
        weekdays = _weekday_names(weekday)
        if day.startswith("*") or weekday.startswith("*"):
            found: BaseTrigger = CronTrigger(day=day, day_of_week=weekdays, **common)
        else:
            found = OrTrigger([CronTrigger(day=day, **common), CronTrigger(day_of_week=weekdays, **common)])
    except (ValueError, TypeError, AttributeError):
        raise SpecError(f"{text!r} is no cron schedule", where=where, hint=EXAMPLE) from None
    return found


def next_times(text: str, now: datetime, n: int = 5) -> list[datetime]:
    """The next `n` times after `now` (UTC; a time without a zone is taken as UTC).

    >>> [t.isoformat() for t in next_times("0 0 1 * *", datetime(1998, 7, 1), 2)]
    ['1998-08-01T00:00:00+00:00', '1998-09-01T00:00:00+00:00']
    """
    from datetime import UTC, timedelta

    at = now.replace(tzinfo=UTC) if now.tzinfo is None else now.astimezone(UTC)
    found: list[datetime] = []
    schedule = trigger(text)
    for _ in range(n):
        after = schedule.get_next_fire_time(None, at + timedelta(microseconds=1))
        if after is None:
            break
        found.append(after)
        at = after
    return found


def calendar(text: str) -> list[str]:
    """The same times as OnCalendar= texts of systemd.time(7), UTC: two where day or weekday may match.

    >>> calendar("*/15 8-17 * * 1-5"), calendar("0 0 13 * 5")
    (['Mon..Fri *-*-* 08..17:00/15:00 UTC'], ['*-*-13 00:00:00 UTC', 'Fri *-*-* 00:00:00 UTC'])
    """
    trigger(text)
    minute, hour, day, month, weekday = _fields(text)
    at = f"{_spans(_numbers(hour, 0, 23), 23)}:{_spans(_numbers(minute, 0, 59), 59)}:00 UTC"
    months = _spans(_numbers(month, 1, 12, _MONTHS), 12, 1)
    days = _spans(_numbers(day, 1, 31), 31, 1)
    names = _weekday_names(weekday)
    week = "" if names == "*" else f"{_week(names)} "
    if day.startswith("*") or weekday.startswith("*"):
        return [f"{week}*-{months}-{days} {at}"]
    return [f"*-{months}-{days} {at}", f"{week}*-{months}-* {at}"]


def _numbers(field: str, low: int, high: int, names: tuple[str, ...] = ()) -> list[int]:
    found: set[int] = set()
    for part in field.split(","):
        match = _PART.fullmatch(part)
        assert match is not None
        first, last, step = match["first"], match["last"], match["step"]
        start = low if first == "*" else _number(first, names)
        end = high if first == "*" or (step and not last) else _number(last or first, names)
        found.update(range(start, end + 1, int(step or 1)))
    return sorted(found)


def _number(text: str, names: tuple[str, ...]) -> int:
    return int(text) if text.isdigit() else names.index(text) + 1


def _spans(numbers: list[int], high: int, low: int = 0) -> str:
    """Numbers as systemd writes them: all, a range, a step that goes to the end, or one by one."""
    first, last, steps = numbers[0], numbers[-1], {b - a for a, b in pairwise(numbers)}
    if steps == {1} and (first, last) == (low, high):
        return "*"
    if steps == {1}:
        return f"{first:02}..{last:02}"
    if len(steps) == 1 and len(numbers) > 2 and last + (step := steps.pop()) > high:
        return f"{first:02}/{step}"
    return ",".join(f"{number:02}" for number in numbers)


def _week(names: str) -> str:
    days = sorted((_WEEKDAYS.index(name) - 1) % 7 for name in names.split(","))
    titled = [(*_WEEKDAYS[1:], _WEEKDAYS[0])[day].title() for day in days]
    if len(days) > 2 and days[-1] - days[0] == len(days) - 1:
        return f"{titled[0]}..{titled[-1]}"
    return ",".join(titled)


def _fields(text: str) -> list[str]:
    """Minute, hour, day, month, weekday; only the last two have names. APScheduler knows more than cron does."""
    parts = MACROS.get(text.strip().lower(), text).lower().split()
    shapes = (_NUMBERS, _NUMBERS, _NUMBERS, _NAMES, _NAMES)
    if len(parts) != 5 or not all(shape.fullmatch(part) for shape, part in zip(shapes, parts, strict=True)):
        raise ValueError(text)
    return parts


def _weekday_names(field: str) -> str:
    if field == "*":
        return field
    days: set[int] = set()
    for part in field.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(field)
        first, last, step = match["first"], match["last"], match["step"]
        start = 0 if first == "*" else _weekday(first)
        end = 6 if first == "*" or (step and not last) else _weekday(last or first)
        if end < start:
            raise ValueError(field)
        days.update(day % 7 for day in range(start, end + 1, int(step or 1)))
    return ",".join(_WEEKDAYS[day] for day in sorted(days))


def _weekday(text: str) -> int:
    number = int(text) if text.isdigit() else _WEEKDAYS.index(text)
    if number > 7:
        raise ValueError(text)
    return number


def _checked(text: str) -> str:
    try:
        trigger(text)
    except SpecError as error:
        raise ValueError(str(error)) from None
    return text


Cron = Annotated[str, AfterValidator(_checked)]
"""A pydantic type: a text that cron accepts."""


class AfterSpec(BaseModel):
    """A sync that a run starts: after every run, or after one that changed who is in its audience.

    >>> AfterSpec(after="run").in_words
    'after every run'
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    after: Literal["run", "audience"] = Field(description="run: every run; audience: one that changed its members")

    @property
    def in_words(self) -> str:
        return "after every run" if self.after == "run" else "when its audience has changed"


def _known_schedule(value: Any) -> Any:
    if value is None or isinstance(value, str | AfterSpec):
        return value
    if isinstance(value, dict) and set(value) == {"after"} and value["after"] in ("run", "audience"):
        return value
    raise ValueError("a schedule is a cron text, {after: run} or {after: audience}")


SyncSchedule = Annotated[Cron | AfterSpec | None, BeforeValidator(_known_schedule)]
"""A pydantic type: when a sync runs by itself."""


def in_words(schedule: str | AfterSpec | None) -> str | None:
    """
    >>> in_words("0 6 * * *"), in_words(AfterSpec(after="audience"))
    ('0 6 * * *', 'when its audience has changed')
    """
    return schedule.in_words if isinstance(schedule, AfterSpec) else schedule


class ScheduleSpec(BaseModel):
    """The `schedule:` block of cdp.yaml: when `cdp run` runs. A sync has a `schedule` of its own.

    >>> ScheduleSpec(run="*/15 * * * *").run
    '*/15 * * * *'
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    run: Cron | None = Field(None, description="Five cron fields, UTC, such as '*/15 * * * *'")
    sync: bool = Field(False, description="Send every sync after each run, whether or not it has its own schedule")
