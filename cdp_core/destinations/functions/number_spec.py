"""Functions of numbers, dates and times, as they are written."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, field_validator

from cdp_core.destinations.functions import dates
from cdp_core.destinations.functions.base import Function
from cdp_core.operators import Text

if TYPE_CHECKING:
    from cdp_core.destinations.functions.spec import Source


class Round(Function):
    """A number to so many digits behind the point; halves go away from zero. Without digits an integer."""

    group, gives = "number", "number or integer"
    example: ClassVar = {"round": "total", "digits": 1}
    round: Source = Field(description="A number")
    digits: int | None = Field(None, ge=0, le=9, strict=True, description="Digits behind the point")


class Add(Function):
    """The sum, to nine digits behind the point; null when one is null."""

    group, gives = "number", "number"
    example: ClassVar = {"add": ["total", 0.1]}
    add: list[Source] = Field(min_length=1, description="Numbers")


class Multiply(Function):
    """The product, to nine digits behind the point; null when one is null."""

    group, gives = "number", "number"
    example: ClassVar = {"multiply": ["total", 100], "type": "integer"}
    multiply: list[Source] = Field(min_length=1, description="Numbers")


class FormatNumber(Function):
    """A number as text with so many digits behind the point: 12.50."""

    group, gives = "number", "text"
    example: ClassVar = {"format_number": "total", "digits": 2}
    format_number: Source = Field(description="A number")
    digits: int = Field(2, ge=0, le=9, strict=True, description="Digits behind the point, always all of them")


def _zone(value: str | None) -> str | None:
    return value if value is None else dates.zone(value)


class FormatDate(Function):
    """A date or time as text."""

    group, gives = "time", "text"
    example: ClassVar = {"format_date": "last_order_at", "as": "%d.%m.%Y %H:%M", "zone": "Europe/Berlin"}
    format_date: Source = Field(description="A date or time; a text is read as ISO 8601")
    as_: Text = Field("%Y-%m-%d", alias="as", description=f"The form, with {' '.join(dates.SIGNS)}")
    zone: str | None = Field(None, description="Times are told in this zone, such as Europe/Berlin; else in UTC")

    @field_validator("as_")
    @classmethod
    def _known(cls, value: str) -> str:
        dates.parsed(value)
        return value

    _known_zone = field_validator("zone")(_zone)


class UnixTime(Function):
    """A time as seconds or milliseconds since 1970-01-01 UTC."""

    group, gives = "time", "integer"
    example: ClassVar = {"unix_time": "last_order_at", "unit": "milliseconds"}
    unix_time: Source = Field(description="A date or time; a text is read as ISO 8601")
    unit: Literal["seconds", "milliseconds"] = Field("seconds", description="What is counted")
