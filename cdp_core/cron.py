"""Cron texts: five fields, read as cron reads them, in UTC.

APScheduler counts weekdays from Monday = 0 and wants day and weekday to match both; cron counts from Sunday = 0 (or 7)
and, when both are restricted, takes either (crontab(5)). A text that is installed with cron and also run by the
scheduler must mean the same, so weekdays are translated to names and "either" becomes two triggers.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

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


class ScheduleSpec(BaseModel):
    """The `schedule:` block of cdp.yaml: when `cdp run` runs. A sync has a `schedule` of its own.

    >>> ScheduleSpec(run="*/15 * * * *").run
    '*/15 * * * *'
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    run: Cron | None = Field(None, description="Five cron fields, UTC, such as '*/15 * * * *'")
    sync: bool = Field(False, description="Send every sync after each run, whether or not it has its own schedule")
